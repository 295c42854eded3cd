//! Statements: what may stand in every block.

use fahrplan_grammar::Rule;

use super::waits::only_name;
use super::{P, Reader, part, parts};
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::program::Doubt;
use crate::lang::ast::{
    Ask, Block, ChannelChoice, Duration, Expr, ExprKind, Moment, Name, Path, Pause, Record, Request, Send,
    Stmt, StmtKind, Work,
};

/// The clauses that several statements share.
#[derive(Default)]
struct Clauses {
    to: Option<Expr>,
    with: Option<Record>,
    purpose: Option<Name>,
    before: Option<Moment>,
    doubt: Option<Doubt>,
    channels: Option<ChannelChoice>,
    team: Option<Expr>,
    limit: Option<Duration>,
    name: Option<Name>,
}

impl<'s> Reader<'s> {
    /// A statement, or what is left of one that holds unreadable lines.
    pub(super) fn stmt(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) {
        let span = self.span(p);
        let mark = into.len();
        let kind = match p.as_rule() {
            Rule::send => self.send(p),
            Rule::ask => self.ask(p),
            Rule::call => self.work(p).map(|w| StmtKind::Call(Box::new(w))),
            Rule::assign => self.work(p).map(|w| StmtKind::Assign(Box::new(w))),
            Rule::request => self.request(p),
            Rule::take => self.take(p),
            Rule::record_ => self.record_step(p),
            Rule::grant | Rule::withdraw => self.consent_step(p),
            Rule::set => self.set(p),
            Rule::add => self.add(p),
            Rule::remove => self.remove(p),
            Rule::let_ => self.let_step(p),
            Rule::wait => self.wait(p, into),
            Rule::if_ => self.if_step(p),
            Rule::switch => self.switch(p, into),
            Rule::split => self.split(p, into),
            Rule::repeat => self.repeat(p),
            Rule::start | Rule::run => self.start_or_run(p),
            Rule::goto => part_name(self, p).map(StmtKind::GoTo),
            Rule::resume => Some(StmtKind::Resume),
            Rule::pause => self.pause(p),
            Rule::exit => Some(StmtKind::Exit { reason: part_name(self, p) }),
            Rule::for_each => {
                self.later(
                    p,
                    "`for each`",
                    "write the steps out, or put the list into the template with `{{#each}}`",
                );
                Some(StmtKind::Error)
            }
            _ => None,
        };
        match kind {
            Some(kind) => into.push(Stmt { kind, span }),
            // a list with unreadable lines has left its traces itself
            None if into.len() > mark => {}
            None => {
                self.unknown(p);
                into.push(Stmt { kind: StmtKind::Error, span });
            }
        }
    }

    fn clauses(&mut self, p: &P<'s>) -> Clauses {
        let mut made = Clauses::default();
        for c in parts(p) {
            match c.as_rule() {
                Rule::to_ => {
                    if let Some(to) = self.inner_expr(&c) {
                        self.once(&mut made.to, to, &c);
                    }
                }
                Rule::args => {
                    if let Some(with) = self.args(&c) {
                        self.once(&mut made.with, with, &c);
                    }
                }
                Rule::for_ => {
                    if let Some(purpose) = parts(&c).next().map(|n| self.name(&n)) {
                        self.once(&mut made.purpose, purpose, &c);
                    }
                }
                Rule::before_ => {
                    if let Some(moment) = part(&c, Rule::moment).and_then(|m| self.moment(&m)) {
                        self.once(&mut made.before, moment, &c);
                    }
                }
                Rule::in_doubt => {
                    let doubt = if part(&c, Rule::k_hold).is_some() { Doubt::Hold } else { Doubt::Retry };
                    self.once(&mut made.doubt, doubt, &c);
                }
                Rule::by_chans => {
                    if let Some(channels) = part(&c, Rule::chans).and_then(|ch| self.channels(&ch)) {
                        self.once(&mut made.channels, channels, &c);
                    }
                }
                Rule::by_team | Rule::to_team => {
                    if let Some(team) = parts(&c).next().map(|n| self.path(&n)) {
                        let expr = Expr { span: team.span, kind: ExprKind::Path(team) };
                        self.once(&mut made.team, expr, &c);
                    }
                }
                Rule::limit => {
                    if let Some(limit) = self.inner_duration(&c) {
                        self.once(&mut made.limit, limit, &c);
                    }
                }
                Rule::named => {
                    if let Some(name) = self.named(&c) {
                        self.once(&mut made.name, name, &c);
                    }
                }
                _ => {}
            }
        }
        made
    }

    pub(super) fn args(&mut self, p: &P<'s>) -> Option<Record> {
        part(p, Rule::record).map(|r| self.record(&r))
    }

    /// The name in `as name`.
    pub(super) fn named(&mut self, p: &P<'s>) -> Option<Name> {
        parts(p).next().map(|n| self.name(&n))
    }

    /// The name that `as` gives among the children of a statement.
    pub(super) fn named_in(&mut self, p: &P<'s>) -> Option<Name> {
        let mut name = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::named) {
            if let Some(given) = self.named(&c) {
                self.once(&mut name, given, &c);
            }
        }
        name
    }

    fn path_in(&mut self, p: &P<'s>, rule: Rule) -> Option<Path> {
        part(p, rule).map(|n| self.path(&n))
    }

    fn name_in(&mut self, p: &P<'s>, rule: Rule) -> Option<Name> {
        part(p, rule).map(|n| self.name(&n))
    }

    fn channels(&mut self, p: &P<'s>) -> Option<ChannelChoice> {
        let mut names = Vec::new();
        let mut first_only = false;
        for c in parts(p) {
            first_only |= c.as_rule() == Rule::else_chan;
            let name = if c.as_rule() == Rule::n_channel { Some(c) } else { parts(&c).next() };
            names.extend(name.map(|n| self.name(&n)));
        }
        match names.len() {
            0 => None,
            1 => names.pop().map(ChannelChoice::One),
            _ if first_only => Some(ChannelChoice::Else(names)),
            _ => Some(ChannelChoice::And(names)),
        }
    }

    /// `cheapest of [email, sms]`; `None` where that names no channels, which is told.
    fn choice_of(&mut self, p: &P<'s>) -> Option<ChannelChoice> {
        let cheapest = part(p, Rule::of_how)?.as_str() == "cheapest";
        let list = part(p, Rule::list)?;
        let items = self.list(&list);
        let mut names = Vec::new();
        let mut sound = true;
        for item in items {
            let (span, told) = (item.span, matches!(item.kind, ExprKind::Error));
            match only_name(item) {
                Some(name) => names.push(name),
                None if told => sound = false,
                None => {
                    sound = false;
                    self.tell_lost(
                        Diagnostic::new(Code::E0001, span, "the name of a channel is wanted here")
                            .label("not a channel")
                            .help("it looks like this: `send cheapest of [email, sms] offer`"),
                    );
                }
            }
        }
        if names.is_empty() && sound {
            let place = self.place_of(&list);
            self.tell_lost(
                Diagnostic::new(Code::E0001, place, "no channel stands in these brackets")
                    .label("on which channels?")
                    .help("it looks like this: `send cheapest of [email, sms] offer`"),
            );
        }
        let choice = if cheapest { ChannelChoice::Cheapest } else { ChannelChoice::Preferred };
        (sound && !names.is_empty()).then(|| choice(names))
    }

    fn send(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let template = self.path_in(p, Rule::n_template)?;
        let channels = match part(p, Rule::of_chans) {
            Some(of) => match self.choice_of(&of) {
                Some(choice) => choice,
                None => return Some(StmtKind::Error),
            },
            None => part(p, Rule::chans).and_then(|c| self.channels(&c))?,
        };
        let c = self.clauses(p);
        Some(StmtKind::Send(Box::new(Send {
            channels,
            template,
            to: c.to,
            with: c.with,
            purpose: c.purpose,
            before: c.before,
            doubt: c.doubt,
            name: c.name,
        })))
    }

    fn ask(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let survey = self.path_in(p, Rule::n_survey)?;
        let c = self.clauses(p);
        let Some(channels) = c.channels else {
            let place = self.place_of(p);
            self.tell_lost(
                Diagnostic::new(Code::E0001, place, "an `ask` says by which channel it asks")
                    .label("`by …` is missing")
                    .help("it looks like this: `ask fan_scan by email else sms up to 7 days as answers`"),
            );
            return Some(StmtKind::Error);
        };
        Some(StmtKind::Ask(Box::new(Ask {
            survey,
            channels,
            with: c.with,
            purpose: c.purpose,
            limit: c.limit,
            name: c.name,
        })))
    }

    fn work(&mut self, p: &P<'s>) -> Option<Work> {
        let task = self.path_in(p, Rule::n_task)?;
        let c = self.clauses(p);
        if let Some(purpose) = part(p, Rule::for_) {
            let place = self.place_of(&purpose);
            self.tell_lost(
                Diagnostic::new(Code::E0007, place, "work for people has the purpose of its journey")
                    .label("left over")
                    .help("take it out; the line `purpose …` of the journey says it")
                    .suggest("take it out", place, ""),
            );
        }
        Some(Work { task, team: c.team, with: c.with, limit: c.limit, name: c.name })
    }

    fn request(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let endpoint = self.path_in(p, Rule::n_endpoint)?;
        let c = self.clauses(p);
        let otherwise = self.else_in(p);
        Some(StmtKind::Request(Box::new(Request { endpoint, with: c.with, name: c.name, otherwise })))
    }

    pub(super) fn else_in(&mut self, p: &P<'s>) -> Option<Block> {
        part(p, Rule::else_).and_then(|e| self.inner_block(&e))
    }

    pub(super) fn take(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let what = self.name_in(p, Rule::n_voucher)?;
        let pool = self.name_in(p, Rule::n_pool)?;
        Some(StmtKind::Take { what, pool, name: self.named_in(p), otherwise: self.else_in(p) })
    }

    fn record_step(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let event = self.path_in(p, Rule::n_event)?;
        Some(StmtKind::Record { event, with: part(p, Rule::args).and_then(|a| self.args(&a)) })
    }

    fn consent_step(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let consent = part(p, Rule::consent_of).map(|c| self.consent_of(&c))?;
        Some(match p.as_rule() {
            Rule::grant => StmtKind::Grant { consent, evidence: self.name_in(p, Rule::n_evidence) },
            _ => StmtKind::Withdraw { consent },
        })
    }

    fn set(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let path = self.path_in(p, Rule::target)?;
        Some(StmtKind::Set { path, value: self.inner_expr(p)? })
    }

    fn add(&mut self, p: &P<'s>) -> Option<StmtKind> {
        if let Some(audience) = self.name_in(p, Rule::n_audience) {
            return Some(StmtKind::AddContact { audience });
        }
        Some(StmtKind::Add {
            value: self.inner_expr(p)?,
            to: self.path_in(p, Rule::target)?,
            duration: part(p, Rule::for_time).and_then(|f| self.inner_duration(&f)),
            until_exit: part(p, Rule::until_exit).map(|u| self.span(&u)),
        })
    }

    pub(super) fn remove(&mut self, p: &P<'s>) -> Option<StmtKind> {
        if let Some(audience) = self.name_in(p, Rule::n_audience) {
            return Some(StmtKind::RemoveContact { audience });
        }
        Some(StmtKind::Remove { value: self.inner_expr(p)?, from: self.path_in(p, Rule::target)? })
    }

    fn let_step(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let name = part_name(self, p)?;
        Some(StmtKind::Let { name, value: self.inner_expr(p)? })
    }

    fn start_or_run(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let journey = self.name_in(p, Rule::n_journey)?;
        let c = self.clauses(p);
        Some(match p.as_rule() {
            Rule::start => StmtKind::StartJourney { journey, with: c.with },
            _ => StmtKind::RunJourney { journey, with: c.with, limit: c.limit, name: c.name },
        })
    }

    fn pause(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let purpose = self.name_in(p, Rule::n_purpose)?;
        let how = p.clone().into_inner().find_map(|c| match c.as_rule() {
            Rule::for_time => self.inner_duration(&c).map(Pause::For),
            Rule::until_moment => part(&c, Rule::moment).and_then(|m| self.moment(&m)).map(Pause::Until),
            Rule::k_forever => Some(Pause::Forever),
            _ => None,
        })?;
        Some(StmtKind::Pause { purpose, how })
    }
}

/// The name that a statement gives directly, such as a stage's.
pub(super) fn part_name<'s>(reader: &mut Reader<'s>, p: &P<'s>) -> Option<Name> {
    let name = parts(p).find(|c| matches!(c.as_rule(), Rule::name | Rule::word_as_name))?;
    Some(reader.name(&name))
}
