//! The rules of the policies: consent, quiet hours, caps, rates, audiences. Rules of later releases are refused by name.

use std::collections::btree_map::Entry;

use super::declarations::Declarations;
use super::findings::{finding, unknown};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{CalendarUnit, Cap, CapWindow, MaxAudience, Quiet, Rate, Then, Word, ZoneRef};
use crate::lang::ast::{self, Name, Rule, RuleKind};
use crate::lang::types::{calendar, zone_ref};
use crate::time::{self, Calendar, HOUR, MINUTE, SECOND, TimeOfDay, Zone};

/// The hours in which people read messages; quiet hours that hold all of them are written the wrong way round.
const DAY: (TimeOfDay, TimeOfDay) = (TimeOfDay(9 * 3600), TimeOfDay(18 * 3600));

impl Declarations<'_, '_> {
    /// The rules of one `policy` block.
    pub(super) fn policy(&mut self, rules: &[Rule]) {
        for rule in rules {
            match &rule.kind {
                RuleKind::Consent { purpose, channels } => self.consent_rule(rule.span, purpose, channels),
                RuleKind::Quiet { from, to, zone, purpose, channels, then } => {
                    let read = self.quiet(from, to, zone.as_ref(), purpose, channels, then);
                    self.schema.quiet_lines.extend(read.as_ref().map(|_| rule.span));
                    self.schema.catalog.policy.quiet.extend(read);
                }
                RuleKind::Cap { words, number, window, then } => {
                    let read = self.cap(words, number, window, then);
                    self.schema.cap_lines.extend(read.as_ref().map(|_| rule.span));
                    self.schema.catalog.policy.caps.extend(read);
                }
                RuleKind::Rate { words, number, per } => {
                    let read = self.rate(words, number, *per, rule.span);
                    self.schema.catalog.policy.rates.extend(read);
                }
                RuleKind::MaxAudience { number, purpose } => {
                    let most = self.whole(number, "an audience");
                    let purpose = self.known_purpose(purpose);
                    if let (Some(most), Some(purpose)) = (most, purpose) {
                        self.schema.catalog.policy.audiences.push(MaxAudience { purpose, most });
                    }
                }
                RuleKind::Priority(_) => self.refuse(rule.span, "`priority`"),
                RuleKind::Holdout { .. } => self.refuse(rule.span, "`holdout`"),
                RuleKind::Error => self.schema.damaged.push(rule.span),
            }
        }
    }

    fn consent_rule(&mut self, span: Span, purpose: &Name, channels: &[Name]) {
        let channels: Vec<Option<Word>> =
            channels.iter().map(|channel| self.known_channel(channel)).collect();
        let purpose = self.known_purpose(purpose);
        self.schema.consent_unread |= purpose.is_none() || channels.contains(&None);
        let Some(purpose) = purpose else { return };
        let channels = channels.into_iter().flatten().collect();
        match self.schema.catalog.policy.consent.entry(purpose.clone()) {
            Entry::Occupied(_) => {
                let mut made = finding(Code::E0102, span, format!("consent for `{purpose}` is stated twice"))
                    .label("again");
                if let Some(first) = self.schema.consent_lines.get(&purpose) {
                    made = made.related(*first, "stated here first");
                }
                self.out.push(made.help("put all channels into one line"));
            }
            Entry::Vacant(entry) => {
                entry.insert(channels);
                self.schema.consent_lines.insert(purpose, span);
            }
        }
    }

    fn quiet(
        &mut self,
        from: &ast::Clock,
        to: &ast::Clock,
        zone: Option<&ast::Zone>,
        purpose: &Name,
        channels: &[Name],
        then: &ast::Then,
    ) -> Option<Quiet> {
        let (from_time, to_time) = (self.clock(from), self.clock(to));
        let purpose = self.known_purpose(purpose);
        let channels: Vec<Option<Word>> =
            channels.iter().map(|channel| self.known_channel(channel)).collect();
        if let Some(ast::Zone { kind: ast::ZoneKind::Named(name), .. }) = zone
            && Zone::named(&name.value).is_none()
        {
            let message = format!("there is no time zone `{}`", name.value);
            self.out.push(finding(Code::E0101, name.span, message).label("not in the time zone database"));
        }
        let (from_time, to_time) = (from_time?, to_time?);
        self.leaves_time(from_time, to_time, from.span.to(to.span));
        Some(Quiet {
            from: from_time,
            to: to_time,
            zone: zone_ref(zone, ZoneRef::Contact),
            purpose: purpose?,
            channels: channels.into_iter().flatten().collect(),
            then: read_then(then),
        })
    }

    /// Quiet hours are a part of the day, and leave some of the hours in which people are awake.
    fn leaves_time(&mut self, from: TimeOfDay, to: TimeOfDay, span: Span) {
        if from == to {
            let message = "quiet hours that end when they begin are none";
            self.out.push(
                finding(Code::E0113, span, message)
                    .label("never quiet")
                    .help("say from when to when nothing leaves, such as `21:00 to 08:00`"),
            );
        } else if from <= DAY.0 && to >= DAY.1 {
            let written = self.schema.input.sources.slice(span);
            let (first, last) = written.split_once(" to ").unwrap_or((written, written));
            let turned = format!("{} to {}", last.trim(), first.trim());
            let message = format!("these quiet hours cover the whole day: messages leave only from {turned}");
            self.out.push(
                finding(Code::E0603, span, message)
                    .label("nothing leaves by day")
                    .help(format!("quiet hours are those in which nothing leaves: was `{turned}` meant?"))
                    .suggest(format!("write `{turned}`"), span, turned),
            );
        }
    }

    fn clock(&mut self, clock: &ast::Clock) -> Option<TimeOfDay> {
        let found = TimeOfDay::new(clock.hour, clock.minute, clock.second);
        if found.is_none() {
            self.out
                .push(finding(Code::E0113, clock.span, "no clock shows this").label("from 00:00 to 23:59"));
        }
        found
    }

    /// `cap [CHANNEL] PURPOSE at N per …`
    fn cap(
        &mut self,
        words: &[Name],
        number: &ast::Number,
        window: &ast::CapWindow,
        then: &ast::Then,
    ) -> Option<Cap> {
        let (channel, purpose) = match words {
            [purpose] => (None, self.known_purpose(purpose)?),
            [channel, purpose] => {
                let (channel, purpose) = (self.known_channel(channel), self.known_purpose(purpose));
                (Some(channel?), purpose?)
            }
            _ => return None,
        };
        let count = self.whole(number, "a cap")?;
        let window = match window {
            ast::CapWindow::Rolling(duration) => CapWindow::Rolling(calendar(duration)),
            ast::CapWindow::Calendar(unit) => CapWindow::Calendar(match unit {
                ast::Unit::Day => CalendarUnit::Day,
                ast::Unit::Week => CalendarUnit::Week,
                ast::Unit::Month => CalendarUnit::Month,
                ast::Unit::Year => CalendarUnit::Year,
                ast::Unit::Second | ast::Unit::Minute | ast::Unit::Hour | ast::Unit::WorkingDay => {
                    self.out.push(
                        finding(Code::E0103, number.span, "calendars count days, weeks, months and years")
                            .label("per calendar …"),
                    );
                    return None;
                }
            }),
        };
        if let ast::Then::Wait(Some(limit)) = then {
            self.gets_a_place(count, &window, limit);
        }
        Some(Cap { channel, purpose, number: count, window, then: read_then(then) })
    }

    /// W0605: with its places taken evenly, one of them comes free less often than that.
    fn gets_a_place(&mut self, count: u32, window: &CapWindow, limit: &ast::Duration) {
        let (whole, words) = match window {
            CapWindow::Rolling(window) => (*window, window.to_string()),
            CapWindow::Calendar(unit) => {
                let (whole, word) = match unit {
                    CalendarUnit::Day => (Calendar::days(1), "day"),
                    CalendarUnit::Week => (Calendar::days(7), "week"),
                    CalendarUnit::Month => (Calendar { months: 1, ..Calendar::default() }, "month"),
                    CalendarUnit::Year => (Calendar { months: 12, ..Calendar::default() }, "year"),
                };
                (whole, format!("calendar {word}"))
            }
        };
        let waits = calendar(limit).about_ms();
        if waits.saturating_mul(i64::from(count)) >= whole.about_ms() {
            return;
        }
        let written = self.schema.input.sources.slice(limit.span).to_owned();
        let message = format!("a place among {count} per {words} comes free less often than every {written}");
        self.out.push(
            finding(Code::W0605, limit.span, message)
                .label("mostly skipped after all, only later")
                .help(format!("write `then wait up to {whole}`, say, or `then skip`")),
        );
    }

    /// `rate CHANNEL [PURPOSE] at N per UNIT`
    fn rate(&mut self, words: &[Name], number: &ast::Number, per: ast::Unit, span: Span) -> Option<Rate> {
        let (channel, purpose) = match words {
            [channel] => (self.known_channel(channel)?, None),
            [channel, purpose] => {
                let (channel, purpose) = (self.known_channel(channel), self.known_purpose(purpose));
                (channel?, Some(purpose?))
            }
            _ => return None,
        };
        let window_ms = match per {
            ast::Unit::Second => SECOND,
            ast::Unit::Minute => MINUTE,
            ast::Unit::Hour => HOUR,
            ast::Unit::Day => time::DAY,
            ast::Unit::Week | ast::Unit::WorkingDay | ast::Unit::Month | ast::Unit::Year => {
                let made = finding(Code::E0103, span, "rates are per second, minute, hour or day");
                self.out.push(made.label("too long for a rate").help("for longer spans write a `cap`"));
                return None;
            }
        };
        let number = self.whole(number, "a rate")?;
        Some(Rate { channel, purpose, number, window_ms })
    }

    fn whole(&mut self, number: &ast::Number, what: &str) -> Option<u32> {
        let whole = u32::try_from(number.value.trunc()).ok().filter(|n| *n > 0 && number.value.is_whole());
        if whole.is_none() {
            let message = format!("{what} is a whole number of at least 1");
            self.out.push(finding(Code::E0113, number.span, message).label("not possible"));
        }
        whole
    }

    fn known_purpose(&mut self, name: &Name) -> Option<Word> {
        if self.schema.catalog.is_purpose(&name.text) {
            return Some(name.text.as_str().into());
        }
        if !self.schema.is_hidden(&name.text) {
            let made = unknown(Code::E0101, "purpose", name, self.schema.catalog.purpose_names());
            let is_channel = self.schema.channels().contains(&name.text.as_str());
            self.out.push(match is_channel {
                true => made
                    .help(format!("`{0}` is a channel; the purpose follows it: `{0} marketing`", name.text)),
                false => made,
            });
        }
        None
    }

    /// `phone`, the channel of telephone work, needs no declaration.
    fn known_channel(&mut self, name: &Name) -> Option<Word> {
        if self.schema.channels().contains(&name.text.as_str()) {
            return Some(name.text.as_str().into());
        }
        if !self.schema.is_hidden(&name.text) {
            self.out.push(unknown(Code::E0101, "channel", name, self.schema.channels()));
        }
        None
    }
}

fn read_then(then: &ast::Then) -> Then {
    match then {
        ast::Then::Wait(limit) => Then::Wait(limit.as_ref().map(calendar)),
        ast::Then::Skip => Then::Skip,
        ast::Then::Exit => Then::Exit,
    }
}
