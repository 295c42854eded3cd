//! Test blocks: what is given, what happens when, what is expected.

use fahrplan_grammar::Rule;

use super::words::Place;
use super::{P, Reader, part, parts};
use crate::lang::ast::{
    AskAnswers, AtWhat, ConsentOf, Day, Expect, Expr, Given, ItemKind, Name, Path, Record, Test, TestLine,
    TestLineKind, TestTime,
};

impl<'s> Reader<'s> {
    pub(super) fn test(&mut self, p: &P<'s>) -> Option<ItemKind> {
        let title = part(p, Rule::string).map(|t| self.string(&t))?;
        let journey = part(p, Rule::n_journey).map(|n| self.name(&n))?;
        let mut lines = Vec::new();
        for line in self.list_lines(p) {
            let whole = self.list_line(&line, Place::Test) && line.tail.is_none();
            let kind = self.test_line(&line.p).filter(|_| whole).unwrap_or(TestLineKind::Error);
            lines.push(TestLine { kind, span: self.span(&line.p) });
        }
        Some(ItemKind::Test(Test { title, journey, lines, span: self.span(p) }))
    }

    fn test_line(&mut self, p: &P<'s>) -> Option<TestLineKind> {
        Some(match p.as_rule() {
            Rule::given => TestLineKind::Given(self.given(p)?),
            Rule::at_line => self.at_line(p)?,
            Rule::expect => {
                let person = self.one_name(p, Rule::expect_who);
                TestLineKind::Expect { person, expect: self.expect(p)? }
            }
            _ => return None,
        })
    }

    fn one_name(&mut self, p: &P<'s>, rule: Rule) -> Option<Name> {
        part(p, rule).map(|n| self.name(&n))
    }

    fn one_path(&mut self, p: &P<'s>, rule: Rule) -> Option<Path> {
        part(p, rule).map(|n| self.path(&n))
    }

    fn one_record(&mut self, p: &P<'s>) -> Option<Record> {
        part(p, Rule::record).map(|r| self.record(&r))
    }

    fn one_consent(&mut self, p: &P<'s>) -> Option<ConsentOf> {
        part(p, Rule::consent_of).map(|c| self.consent_of(&c))
    }

    fn given(&mut self, p: &P<'s>) -> Option<Given> {
        let person = self.one_name(p, Rule::given_who);
        let what = parts(p).find(|c| c.as_rule() != Rule::given_who)?;
        Some(match what.as_rule() {
            Rule::g_contact => {
                Given::Contact { person: self.one_name(&what, Rule::name), record: self.one_record(&what)? }
            }
            Rule::g_event => {
                let Day { date, time } = part(&what, Rule::datetime).map(|d| self.day(&d))?;
                let event = self.one_path(&what, Rule::n_event)?;
                Given::Event { person, event, with: self.one_record(&what), date, time: time? }
            }
            Rule::g_consent => Given::Consent { person, consent: self.one_consent(&what)? },
            Rule::g_seed => Given::Seed(part(&what, Rule::number).map(|n| self.number(&n))?),
            Rule::g_loose => Given::Loose,
            Rule::g_variant => Given::Variant {
                split: self.one_name(&what, Rule::n_split)?,
                variant: self.one_name(&what, Rule::n_variant)?,
            },
            Rule::g_request => {
                let endpoint = self.one_path(&what, Rule::n_endpoint)?;
                match self.one_record(&what) {
                    Some(record) => Given::RequestReturns { endpoint, record },
                    None => Given::RequestFails { endpoint },
                }
            }
            Rule::g_pool => {
                let pool = self.one_name(&what, Rule::n_pool)?;
                match part(&what, Rule::list) {
                    Some(list) => Given::Pool { pool, items: self.list(&list) },
                    None => Given::PoolEmpty { pool },
                }
            }
            _ => return None,
        })
    }

    fn at_line(&mut self, p: &P<'s>) -> Option<TestLineKind> {
        let at = match part(p, Rule::datetime) {
            Some(moment) => {
                let Day { date, time } = self.day(&moment);
                TestTime::Moment(date, time?, self.zone_in(p))
            }
            None => TestTime::Plus(part(p, Rule::duration).map(|d| self.duration(&d))?),
        };
        // `at +1 day ada expect …` and `at +1 day expect ada …` say the same.
        let expected = part(p, Rule::expect).and_then(|expect| self.one_name(&expect, Rule::expect_who));
        let person = expected.or_else(|| self.one_name(p, Rule::at_who));
        let is_what = |c: &P<'s>| {
            !matches!(c.as_rule(), Rule::plus | Rule::duration | Rule::datetime | Rule::zone | Rule::at_who)
        };
        let what = match parts(p).find(is_what) {
            Some(what) => Some(self.at_what(&what)?),
            None => None,
        };
        Some(TestLineKind::At { at, person, what })
    }

    fn at_what(&mut self, p: &P<'s>) -> Option<AtWhat> {
        Some(match p.as_rule() {
            Rule::a_event => {
                AtWhat::Event { event: self.one_path(p, Rule::n_event)?, with: self.one_record(p) }
            }
            Rule::a_set => AtWhat::Set { path: self.one_path(p, Rule::target)?, value: self.inner_expr(p)? },
            Rule::a_work => AtWhat::WorkReturns {
                task: self.one_path(p, Rule::n_task)?,
                outcome: self.one_name(p, Rule::n_outcome)?,
                with: self.one_record(p),
            },
            Rule::a_ask => {
                let survey = self.one_path(p, Rule::n_survey)?;
                let answers = match self.one_record(p) {
                    Some(record) => AskAnswers::Record(record),
                    None => AskAnswers::Outcome(self.one_name(p, Rule::n_outcome)?),
                };
                AtWhat::AskReturns { survey, answers }
            }
            Rule::a_start => AtWhat::Start { with: part(p, Rule::args).and_then(|a| self.args(&a)) },
            Rule::grant => AtWhat::Grant(self.one_consent(p)?),
            Rule::withdraw => AtWhat::Withdraw(self.one_consent(p)?),
            Rule::given => AtWhat::Given(self.given(p)?),
            Rule::expect => AtWhat::Expect(self.expect(p)?),
            _ => return None,
        })
    }

    fn expect(&mut self, p: &P<'s>) -> Option<Expect> {
        let what = parts(p).find(|c| c.as_rule() != Rule::expect_who)?;
        Some(match what.as_rule() {
            Rule::x_no_more => Expect::NoMoreSend,
            Rule::x_no => Expect::No { verb: self.verb(&what, 1)?, name: self.one_path(&what, Rule::path) },
            Rule::x_start => Expect::Start {
                journey: self.one_name(&what, Rule::n_journey)?,
                with: part(&what, Rule::args).and_then(|args| self.args(&args)),
            },
            Rule::x_send => self.expect_send(&what)?,
            Rule::x_exit => Expect::Exit { reason: self.one_name(&what, Rule::n_reason)? },
            Rule::x_goal => Expect::Goal { name: self.one_name(&what, Rule::n_goal)? },
            Rule::x_did => Expect::Did {
                verb: self.verb(&what, 0)?,
                name: self.one_path(&what, Rule::path)?,
                with: part(&what, Rule::args).and_then(|args| self.args(&args)),
            },
            Rule::x_waiting => Expect::WaitingAt { step: self.one_name(&what, Rule::n_step)? },
            Rule::x_member => Expect::Member {
                audience: self.one_name(&what, Rule::n_audience)?,
                is_in: part(&what, Rule::k_not).is_none(),
            },
            Rule::expr => Expect::Holds(self.expr(&what)),
            _ => return None,
        })
    }

    fn expect_send(&mut self, p: &P<'s>) -> Option<Expect> {
        let (mut to, mut with, mut at): (Option<Expr>, Option<Record>, _) = (None, None, None);
        for c in parts(p) {
            match c.as_rule() {
                Rule::to_ => {
                    if let Some(expr) = self.inner_expr(&c) {
                        self.once(&mut to, expr, &c);
                    }
                }
                Rule::args => {
                    if let Some(record) = self.args(&c) {
                        self.once(&mut with, record, &c);
                    }
                }
                Rule::x_at => {
                    if let Some(time) = part(&c, Rule::time).map(|t| self.clock(&t)) {
                        self.once(&mut at, time, &c);
                    }
                }
                _ => {}
            }
        }
        Some(Expect::Send {
            channel: self.one_name(p, Rule::n_channel)?,
            template: self.one_path(p, Rule::n_template)?,
            to,
            with,
            at,
        })
    }

    /// The keyword at this place among the children, as a name.
    fn verb(&self, p: &P<'s>, at: usize) -> Option<Name> {
        let word = p.clone().into_inner().nth(at)?;
        Some(Name { text: word.as_str().to_owned(), span: self.span(&word) })
    }
}
