//! Statements: what may stand in every block.

use fahrplan_grammar::Rule;

use super::words::Place;
use super::{P, Reader, bounds, part, parts};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::lang::ast::{
    Arm, ArmWhen, Ask, Block, Case, ChannelChoice, Duration, EventMatch, Expr, ExprKind, If, Moment, Name,
    Number, Path, Patience, Pause, Record, Request, Send, Stmt, StmtKind, Switch, Unit, Variant, Wait, Work,
};
use crate::value::Decimal;

/// One entry of a list: what was read, and the text left over after it.
pub(super) struct Line<'s> {
    pub(super) p: P<'s>,
    pub(super) tail: Option<P<'s>>,
}

/// The clauses that several statements share.
#[derive(Default)]
struct Clauses {
    to: Option<Expr>,
    with: Option<Record>,
    purpose: Option<Name>,
    before: Option<Moment>,
    channels: Option<ChannelChoice>,
    team: Option<Expr>,
    limit: Option<Duration>,
    name: Option<Name>,
}

impl<'s> Reader<'s> {
    // ------------------------------------------------------------ lists

    /// The lines between the braces of a node, each with what is left over after it.
    pub(super) fn list_lines(&mut self, p: &P<'s>) -> Vec<Line<'s>> {
        let mut lines: Vec<Line<'s>> = Vec::new();
        let mut open = None;
        for child in p.clone().into_inner() {
            match (child.as_rule(), open) {
                (Rule::lbrace, None) => open = Some(child.as_span().start()),
                (_, None) => {}
                (Rule::rbrace, _) => break,
                (Rule::unclosed, Some(at)) => self.unclosed.push((at, child.as_span().start())),
                (Rule::tail, _) => {
                    if let Some(line) = lines.last_mut() {
                        line.tail = Some(child);
                    }
                }
                _ => lines.push(Line { p: child, tail: None }),
            }
        }
        lines
    }

    pub(super) fn block(&mut self, p: &P<'s>) -> Block {
        self.block_at(p, Place::Block)
    }

    fn block_at(&mut self, p: &P<'s>, place: Place) -> Block {
        let start = part(p, Rule::lbrace).map_or(p.as_span().start(), |b| b.as_span().start());
        let span = self.span_between(start, bounds(p).1);
        let mut stmts = Vec::new();
        for line in self.list_lines(p) {
            self.stmt_line(&line, place, &mut stmts);
        }
        Block { stmts, span }
    }

    /// The block in a clause such as `else { … }`.
    pub(super) fn inner_block(&mut self, p: &P<'s>) -> Option<Block> {
        part(p, Rule::block).map(|b| self.block(&b))
    }

    /// One line of a block: a statement, or what is left of one.
    pub(super) fn stmt_line(&mut self, line: &Line<'s>, place: Place, into: &mut Vec<Stmt>) {
        match (&line.tail, line.p.as_rule()) {
            (_, Rule::bad) => self.bad_stmt(&line.p, place, into),
            (Some(tail), _) => {
                self.left_over(&line.p, tail, place);
                let holds_blocks = line.p.clone().into_inner().flatten().any(|c| c.as_rule() == Rule::block);
                if holds_blocks {
                    self.stmt(&line.p, into);
                } else {
                    self.leave_traces(&line.p, Some(tail), into);
                }
                self.blocks_of(tail, into);
            }
            (None, _) => self.stmt(&line.p, into),
        }
    }

    /// Text that is no statement: told, and its traces left.
    pub(super) fn bad_stmt(&mut self, p: &P<'s>, place: Place, into: &mut Vec<Stmt>) {
        self.unreadable(p, place);
        self.leave_traces(p, None, into);
        self.blocks_of(p, into);
    }

    /// An `Error` for the statement, and a `let` without a value for each name that its text seems to give.
    fn leave_traces(&mut self, p: &P<'s>, tail: Option<&P<'s>>, into: &mut Vec<Stmt>) {
        let (start, end) = (bounds(p).0, bounds(tail.unwrap_or(p)).1);
        let span = self.span_between(start, end);
        into.push(Stmt { kind: StmtKind::Error, span });
        let head = self.head_end(p, end);
        for (text, at) in names_in(&self.text()[start..head]) {
            let span = self.span_between(start + at, start + at + text.len());
            let name = Name { text: text.to_owned(), span };
            into.push(Stmt {
                kind: StmtKind::Let { name, value: Expr { kind: ExprKind::Error, span } },
                span,
            });
        }
    }

    /// Where the first block of an unreadable statement begins.
    pub(super) fn head_end(&self, p: &P<'s>, end: usize) -> usize {
        let block = p
            .clone()
            .into_inner()
            .find(|c| matches!(c.as_rule(), Rule::any_block | Rule::block | Rule::lbrace | Rule::race));
        block.map_or(end, |b| b.as_span().start())
    }

    /// The blocks in unreadable text, each as an `if` without a condition.
    fn blocks_of(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) {
        for child in p.clone().into_inner().filter(|c| c.as_rule() == Rule::any_block) {
            let body = self.any_block(&child);
            into.push(unconditional(body));
        }
    }

    /// A block of which nobody knows what it belongs to: its statements, and those in the arms and cases in it.
    fn any_block(&mut self, p: &P<'s>) -> Block {
        let (start, end) = bounds(p);
        let span = self.span_between(start, end);
        let mut stmts = Vec::new();
        for line in self.list_lines(p) {
            match line.p.as_rule() {
                Rule::bad => self.bad_stmt(&line.p, Place::Unknown, &mut stmts),
                rule if is_stmt(rule) => self.stmt_line(&line, Place::Unknown, &mut stmts),
                _ => {
                    if let Some(tail) = &line.tail {
                        self.left_over(&line.p, tail, Place::Unknown);
                    }
                    let blocks: Vec<P<'s>> =
                        line.p.clone().into_inner().filter(|c| c.as_rule() == Rule::block).collect();
                    for block in blocks {
                        let body = self.block(&block);
                        stmts.push(unconditional(body));
                    }
                }
            }
        }
        Block { stmts, span }
    }

    // ------------------------------------------------------------ statements

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
    fn named_in(&mut self, p: &P<'s>) -> Option<Name> {
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

    fn send(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let template = self.path_in(p, Rule::n_template)?;
        let channels = match part(p, Rule::later_chans) {
            Some(later) => {
                let of = part(&later, Rule::later_of)?;
                self.later(
                    &later,
                    &format!("`send {} of`", of.as_str()),
                    "name the order: `send email else sms …`",
                );
                let names = part(&later, Rule::list).map(|l| self.list(&l)).unwrap_or_default();
                let names = names.into_iter().filter_map(only_name).collect::<Vec<_>>();
                if names.is_empty() {
                    return Some(StmtKind::Error);
                }
                ChannelChoice::Else(names)
            }
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
                    .fix("take it out", place, ""),
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

    fn else_in(&mut self, p: &P<'s>) -> Option<Block> {
        part(p, Rule::else_).and_then(|e| self.inner_block(&e))
    }

    fn take(&mut self, p: &P<'s>) -> Option<StmtKind> {
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

    fn remove(&mut self, p: &P<'s>) -> Option<StmtKind> {
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

    // ------------------------------------------------------------ waits

    fn wait(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        if let Some(later) = part(p, Rule::later_then) {
            self.later(
                &later,
                "`then until` behind a wait of this form",
                "write `wait until …` on the next line",
            );
        }
        if let Some(race) = part(p, Rule::race) {
            return self.race(p, &race, into);
        }
        let form = parts(p).find(|c| !matches!(c.as_rule(), Rule::patience | Rule::later_then))?;
        let wait = match form.as_rule() {
            Rule::wait_for => {
                let patience = self.patience(p)?;
                self.wait_for(&form, patience)
            }
            Rule::wait_cond => {
                let patience = self.patience(p)?;
                self.wait_cond(&form, patience)?
            }
            Rule::unlimited => self.unlimited(p, &form)?,
            Rule::wait_until => Wait::Until {
                moment: part(&form, Rule::moment).and_then(|m| self.moment(&m))?,
                name: self.named_in(&form),
                body: self.inner_block(&form),
            },
            Rule::wait_time => self.wait_time(&form)?,
            _ => return None,
        };
        Some(StmtKind::Wait(Box::new(wait)))
    }

    fn patience(&mut self, p: &P<'s>) -> Option<Patience> {
        let patience = part(p, Rule::patience)?;
        match self.inner_duration(&patience) {
            Some(limit) => Some(Patience::UpTo(limit)),
            None => Some(Patience::Forever(self.span(&patience))),
        }
    }

    fn wait_for(&mut self, p: &P<'s>, patience: Patience) -> Wait {
        let event = self.event_match(p);
        let mut look_back = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::look_back) {
            if let Some(back) = self.inner_duration(&c) {
                self.once(&mut look_back, back, &c);
            }
        }
        Wait::Event { patience, event, look_back, then_until: self.then_until(p) }
    }

    fn then_until(&mut self, p: &P<'s>) -> Option<Moment> {
        let mut then = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::then_until) {
            if let Some(moment) = part(&c, Rule::moment).and_then(|m| self.moment(&m)) {
                self.once(&mut then, moment, &c);
            }
        }
        then
    }

    fn wait_cond(&mut self, p: &P<'s>, patience: Patience) -> Option<Wait> {
        let condition = self.inner_expr(p)?;
        Some(Wait::Condition { patience, condition, name: self.named_in(p) })
    }

    /// `wait for x`: read as if a limit of a week stood there, so that everything else is checked.
    fn unlimited(&mut self, p: &P<'s>, form: &P<'s>) -> Option<Wait> {
        let at = bounds(form).0;
        let before = self.place(at, at);
        let span = self.span_between(at, at);
        let week = Number { value: Decimal::from_int(7), has_point: false, span };
        let patience = Patience::UpTo(Duration { parts: vec![(week, Unit::Day)], span });
        let (what, wait) = match part(form, Rule::wait_for) {
            Some(event) => ("an event", self.wait_for(&event, patience)),
            None => ("a condition", self.wait_cond(&part(form, Rule::wait_cond)?, patience)?),
        };
        let (start, end) = bounds(p);
        self.tell_lost(
            Diagnostic::new(
                Code::E0402,
                self.place(start, end),
                format!("this waits for {what} without a limit"),
            )
            .label("how long at most?")
            .help("say the longest time first, such as `wait up to 7 days …`; `wait forever …` exists too")
            .fix("wait up to 7 days", before, "up to 7 days "),
        );
        Some(wait)
    }

    fn wait_time(&mut self, p: &P<'s>) -> Option<Wait> {
        let mut durations = parts(p).filter(|c| c.as_rule() == Rule::duration);
        let (first, second) = (durations.next()?, durations.next());
        Some(Wait::For {
            duration: self.duration(&first),
            longest: second.map(|d| self.duration(&d)),
            then_until: self.then_until(p),
            name: self.named_in(p),
        })
    }

    fn race(&mut self, p: &P<'s>, race: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let patience = self.patience(p)?;
        let name = self.named_in(race);
        let (mut arms, mut timeout) = (Vec::new(), None);
        let mut whole = true;
        for line in self.list_lines(race) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Race);
            let body = self.inner_block(c);
            match (c.as_rule(), body) {
                (Rule::race_arm, Some(body)) => match self.arm_when(c) {
                    Some(when) => arms.push(Arm { when, body, span: self.span(c) }),
                    None => whole = false,
                },
                (Rule::race_timeout, Some(body)) => self.once(&mut timeout, body, c),
                (_, _) => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Wait(Box::new(Wait::Race { patience, name, arms, timeout })));
        }
        let bodies = arms.into_iter().map(|a| a.body).chain(timeout).collect();
        self.damaged(p, name, bodies, into)
    }

    fn arm_when(&mut self, p: &P<'s>) -> Option<ArmWhen> {
        if let Some(event) = part(p, Rule::ev_match) {
            return Some(ArmWhen::Event(self.event_match(&event)));
        }
        let condition = part(p, Rule::arm_cond)?;
        Some(ArmWhen::Condition { expr: self.inner_expr(&condition)?, name: self.named_in(&condition) })
    }

    /// Tells what is wrong with a line of arms, cases or variants. False where the list is not whole without it.
    pub(super) fn list_line(&mut self, line: &Line<'s>, place: Place) -> bool {
        match (&line.tail, line.p.as_rule()) {
            (_, Rule::bad) => {
                self.unreadable(&line.p, place);
                false
            }
            (Some(tail), _) => {
                self.left_over(&line.p, tail, place);
                true
            }
            _ => true,
        }
    }

    /// A statement whose list misses lines leaves its traces: an `Error`, its name, and each block for itself.
    fn damaged(
        &mut self,
        p: &P<'s>,
        name: Option<Name>,
        bodies: Vec<Block>,
        into: &mut Vec<Stmt>,
    ) -> Option<StmtKind> {
        let span = self.span(p);
        if let Some(name) = name {
            let value = Expr { kind: ExprKind::Error, span: name.span };
            into.push(Stmt { span: name.span, kind: StmtKind::Let { name, value } });
        }
        into.extend(bodies.into_iter().map(unconditional));
        into.push(Stmt { kind: StmtKind::Error, span });
        None
    }

    /// Events with their name and conditions; other clauses among the children are for the caller.
    pub(super) fn event_match(&mut self, p: &P<'s>) -> EventMatch {
        let mut made =
            EventMatch { events: Vec::new(), name: None, same: Vec::new(), filter: None, span: self.span(p) };
        let mut bounds_of: Option<(usize, usize)> = None;
        let mut late = Vec::new();
        let mut last_event = None;
        for c in parts(p) {
            match c.as_rule() {
                Rule::n_event => {
                    made.events.push(self.path(&c));
                    last_event = Some(c.clone());
                }
                Rule::named => made.name = self.named(&c),
                Rule::same if made.same.is_empty() => {
                    made.same = parts(&c).map(|f| self.name(&f)).collect();
                }
                Rule::same => {
                    let mut full = Some(());
                    self.once(&mut full, (), &c);
                }
                Rule::where_ => {
                    if let Some(filter) = self.inner_expr(&c) {
                        self.once(&mut made.filter, filter, &c);
                    }
                }
                Rule::late_name => late.push(c.clone()),
                _ => continue,
            }
            let (start, end) = bounds(&c);
            bounds_of = Some((bounds_of.map_or(start, |b| b.0), end));
        }
        if let Some((start, end)) = bounds_of {
            made.span = self.span_between(start, end);
        }
        for late in late {
            self.late_name(&mut made.name, &late, last_event.as_ref());
        }
        made
    }

    // ------------------------------------------------------------ branches

    fn if_step(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let first = (self.inner_expr(p)?, self.inner_block(p)?);
        let mut branches = vec![first];
        for c in parts(p).filter(|c| c.as_rule() == Rule::else_if) {
            if let (Some(condition), Some(body)) = (self.inner_expr(&c), self.inner_block(&c)) {
                branches.push((condition, body));
            }
        }
        Some(StmtKind::If(Box::new(If { branches, otherwise: self.else_in(p) })))
    }

    fn switch(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let subject = self.inner_expr(p)?;
        let (mut cases, mut otherwise) = (Vec::new(), None);
        let mut whole = true;
        for line in self.list_lines(p) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Switch);
            let body = self.inner_block(c);
            match (c.as_rule(), body) {
                (Rule::case, Some(body)) => {
                    let values =
                        parts(c).filter(|e| e.as_rule() == Rule::expr).map(|e| self.expr(&e)).collect();
                    cases.push(Case { values, body, span: self.span(c) });
                }
                (Rule::else_case, Some(body)) => self.once(&mut otherwise, body, c),
                (_, _) => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Switch(Box::new(Switch { subject, cases, otherwise })));
        }
        let bodies = cases.into_iter().map(|c| c.body).chain(otherwise).collect();
        self.damaged(p, None, bodies, into)
    }

    fn split(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let name = part_name(self, p)?;
        let later = part(p, Rule::later_split);
        if let Some(later) = &later {
            let word = later.as_str().split_whitespace().next().unwrap_or("optimize").to_owned();
            self.later(later, &format!("`split … {word}`"), "give each variant a fixed share, such as `50%`");
        }
        let mut variants = Vec::new();
        let mut whole = true;
        for line in self.list_lines(p) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Split);
            let body = self.inner_block(c);
            match (c.as_rule(), body, part_name(self, c)) {
                (Rule::variant, Some(body), Some(name)) => {
                    let share = self.share(c, later.is_some());
                    variants.push((name, share, body, self.span(c)));
                }
                _ => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Split { name, variants: fill_shares(variants) });
        }
        let bodies = variants.into_iter().map(|v| v.2).collect();
        self.damaged(p, None, bodies, into)
    }

    /// The share of a variant; one without its `%` is read as it was meant.
    fn share(&mut self, p: &P<'s>, may_miss: bool) -> Option<Number> {
        if let Some(percent) = part(p, Rule::percent) {
            return Some(self.number(&percent));
        }
        if let Some(number) = part(p, Rule::number) {
            let place = self.place_of(&number);
            let written = number.as_str();
            self.tell_lost(
                Diagnostic::new(
                    Code::E0001,
                    place,
                    format!("the share of a variant is a percentage: `{written}%`"),
                )
                .label("`%` is missing")
                .fix("add `%`", place.shrink_to_end(), "%"),
            );
            return Some(self.number(&number));
        }
        if !may_miss {
            let end = p.clone().into_inner().find(|c| c.as_rule() == Rule::block);
            let head = end.map_or(bounds(p).1, |b| bounds(&b).0);
            let head = bounds(p).0 + self.text()[bounds(p).0..head].trim_end().len();
            let place = self.place(bounds(p).0, head);
            self.tell_lost(
                Diagnostic::new(Code::E0001, place, "this variant has no share")
                    .label("how many get it?")
                    .help("it looks like this: `variant story 50% { … }`"),
            );
        }
        None
    }

    fn repeat(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let times = part(p, Rule::number).map(|n| self.number(&n))?;
        let mut until = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::repeat_until) {
            if let Some(condition) = self.inner_expr(&c) {
                self.once(&mut until, condition, &c);
            }
        }
        let name = self.named_in(p);
        Some(StmtKind::Repeat { times, name, until, body: self.inner_block(p)? })
    }
}

/// The name that a statement gives directly, such as a stage's.
pub(super) fn part_name<'s>(reader: &mut Reader<'s>, p: &P<'s>) -> Option<Name> {
    let name = parts(p).find(|c| matches!(c.as_rule(), Rule::name | Rule::word_as_name))?;
    Some(reader.name(&name))
}

fn unconditional(body: Block) -> Stmt {
    let span = body.span;
    let condition = Expr { kind: ExprKind::Error, span: span.shrink_to_start() };
    Stmt { kind: StmtKind::If(Box::new(If { branches: vec![(condition, body)], otherwise: None })), span }
}

fn only_name(expr: Expr) -> Option<Name> {
    match expr.kind {
        ExprKind::Path(path) if path.parts.len() == 1 => path.parts.into_iter().next(),
        _ => None,
    }
}

/// Variants without a share get the rest in equal parts, so that no sum is reported as wrong because of them.
fn fill_shares(variants: Vec<(Name, Option<Number>, Block, Span)>) -> Vec<Variant> {
    let given: i64 = variants.iter().filter_map(|v| v.1).fold(0, |sum, n| n.value.0.saturating_add(sum));
    let mut missing = variants.iter().filter(|v| v.1.is_none()).count() as i64;
    let mut rest = (100 * Decimal::ONE - given).max(0);
    let fill = |(name, share, body, span): (Name, Option<Number>, Block, Span)| {
        let share = share.unwrap_or_else(|| {
            let part = rest / missing;
            (rest, missing) = (rest - part, missing - 1);
            Number { value: Decimal(part), has_point: false, span: name.span }
        });
        Variant { name, share, body, span }
    };
    variants.into_iter().map(fill).collect()
}

/// Whether a node is a statement.
pub(super) fn is_stmt(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::send
            | Rule::ask
            | Rule::call
            | Rule::assign
            | Rule::request
            | Rule::take
            | Rule::record_
            | Rule::grant
            | Rule::withdraw
            | Rule::set
            | Rule::add
            | Rule::remove
            | Rule::let_
            | Rule::wait
            | Rule::if_
            | Rule::switch
            | Rule::split
            | Rule::repeat
            | Rule::start
            | Rule::run
            | Rule::goto
            | Rule::resume
            | Rule::pause
            | Rule::exit
            | Rule::for_each
    )
}

/// The names that an unreadable statement would have given: the word after `as`, and after `let` at its beginning.
fn names_in(head: &str) -> Vec<(&str, usize)> {
    let mut names = Vec::new();
    let mut gives = head.starts_with("let ");
    let mut in_text = false;
    for (at, word) in words_of(head) {
        if word == "\"" {
            in_text = !in_text;
        } else if !in_text {
            if gives && word != "let" && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
                names.push((word, at));
            }
            gives = word == "as" || (word == "let" && at == 0);
        }
    }
    names
}

/// Words and signs with their places.
fn words_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let rest = rest.trim_start();
        let start = text.len() - rest.len();
        let first = rest.chars().next()?;
        let length =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        at = start + length;
        Some((start, &text[start..at]))
    })
}
