//! The words of the language, and what the rules of the grammar are called when an author is told what was expected.

use fahrplan_grammar::Rule;

/// Words that begin a declaration, a journey or a test.
pub(super) const ITEMS: &[&str] = &[
    "audience", "channel", "contact", "endpoint", "event", "import", "journey", "policy", "pool", "purpose",
    "score", "segment", "survey", "task", "team", "template", "test",
];

/// Verbs of the statements that may stand in every block.
pub(super) const STATEMENTS: &[&str] = &[
    "add",
    "ask",
    "assign",
    "call",
    "exit",
    "go to",
    "grant",
    "if",
    "let",
    "pause",
    "record",
    "remove",
    "repeat",
    "request",
    "resume",
    "run journey",
    "send",
    "set",
    "split",
    "start journey",
    "switch",
    "take",
    "wait",
    "withdraw",
];

/// What may stand directly in a journey besides statements.
pub(super) const RULES: &[&str] =
    &["enter", "exit", "goal", "lasts", "migrate", "on", "purpose", "reenter", "runs", "stage", "budget"];

/// The list of lines that a line stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Journey,
    Block,
    Race,
    Switch,
    Split,
    Migrate,
    Policy,
    Test,
    /// In braces whose head could not be read: anything may stand here.
    Unknown,
}

impl Place {
    /// The words with which a line may begin here.
    pub(super) fn heads(self) -> Vec<&'static str> {
        match self {
            Place::File => ITEMS.to_vec(),
            Place::Journey => [RULES, STATEMENTS].concat(),
            Place::Block => STATEMENTS.to_vec(),
            Place::Race => vec!["when", "on timeout"],
            Place::Switch => vec!["case", "else"],
            Place::Split => vec!["variant"],
            Place::Migrate => vec!["moved", "removed", "keep timers", "let"],
            Place::Policy => {
                vec!["cap", "consent", "holdout", "max audience", "priority", "quiet hours", "rate"]
            }
            Place::Test => vec!["at", "expect", "given"],
            Place::Unknown => {
                [RULES, STATEMENTS, &["when", "case", "variant", "at", "expect", "given"]].concat()
            }
        }
    }

    /// Where a line that begins with this word belongs, for a word that begins lines at all.
    pub(super) fn of(head: &str) -> Option<Place> {
        let places = [
            Place::Block,
            Place::Journey,
            Place::Race,
            Place::Switch,
            Place::Split,
            Place::Migrate,
            Place::Test,
            Place::Policy,
            Place::File,
        ];
        places.into_iter().find(|p| p.has(head))
    }

    /// Whether a line may begin with this word here.
    pub(super) fn has(self, head: &str) -> bool {
        self.heads().iter().any(|h| h.split(' ').next() == Some(head))
    }

    /// What a line is called here, as in "`sned` does not begin …".
    pub(super) fn line(self) -> &'static str {
        match self {
            Place::File => "a declaration",
            Place::Race => "an arm of a wait",
            Place::Switch => "a case",
            Place::Split => "a variant",
            Place::Migrate => "a line of a migration",
            Place::Policy => "a rule",
            Place::Test => "a line of a test",
            Place::Journey | Place::Block | Place::Unknown => "a statement",
        }
    }

    /// The place in words, as in "it belongs …".
    pub(super) fn words(self) -> &'static str {
        match self {
            Place::File => "at the left edge of a file, outside all braces",
            Place::Journey => "directly in a journey, not in a block",
            Place::Block | Place::Unknown => "in a journey",
            Place::Race => "in the braces of `wait up to … { }`",
            Place::Switch => "in the braces of `switch … { }`",
            Place::Split => "in the braces of `split … { }`",
            Place::Migrate => "in the braces of `migrate from version … { }`",
            Place::Policy => "in the braces of `policy … { }`",
            Place::Test => "in a test",
        }
    }
}

/// What a line that begins with this word looks like.
pub(super) fn form(head: &str, place: Place) -> Option<&'static str> {
    Some(match (head, place) {
        ("add", _) => "add VALUE to contact.ATTRIBUTE",
        ("ask", Place::Test) => "ask SURVEY returns { FIELD: VALUE }",
        ("ask", _) => "ask SURVEY by CHANNEL up to 7 days as NAME",
        ("assign", _) => "assign TASK to TEAM up to 5 working days as NAME",
        ("at", _) => "at +2 days expect send email TEMPLATE",
        ("audience", _) => "audience NAME { sends \"secret:ads_export\" }",
        ("budget", _) => "budget 500.00 per calendar month then skip",
        ("call", _) => "call TASK by TEAM up to 5 working days as NAME",
        ("cap", _) => "cap email marketing at 3 per 7 days then skip",
        ("case", _) => "case VALUE, VALUE { … }",
        ("channel", _) => "channel sms { sends \"secret:sms\", address contact.phone }",
        ("consent", _) => "consent marketing on email, sms",
        ("contact", _) => "contact { email: email?, plan: one of [free, pro] = free }",
        ("else", _) => "else { … }",
        ("endpoint", _) => "endpoint NAME { method \"POST\", url \"secret:NAME\" }",
        ("enter", _) => "enter on EVENT as NAME",
        ("event", _) => "event NAME { order_id: id, value: decimal }",
        ("exit", _) => "exit as REASON",
        ("expect", _) => "expect send email TEMPLATE",
        ("given", _) => "given contact { email: \"ada@example.org\" }",
        ("go", _) => "go to STAGE",
        ("goal", _) => "goal NAME on EVENT within 30 days",
        ("grant", _) => "grant consent marketing on email from EVENT",
        ("holdout", _) => "holdout 5% for marketing",
        ("if", _) => "if CONDITION { … }",
        ("import", _) => "import \"shared/loyalty.journey\"",
        ("journey", _) => "journey NAME \"its title\" { … }",
        ("keep", _) => "keep timers",
        ("lasts", _) => "lasts up to 45 days",
        ("let", _) => "let NAME = VALUE",
        ("max", _) => "max audience 20_000 for marketing",
        ("migrate", _) => "migrate from version 1 { … }",
        ("moved", _) => "moved OLD_STEP to NEW_STEP",
        ("on", Place::Race) => "on timeout { … }",
        ("on", _) => "on EVENT as NAME { … }",
        ("pause", _) => "pause marketing for 14 days",
        ("policy", _) => "policy NAME { … }",
        ("pool", _) => "pool NAME { code: text }",
        ("priority", _) => "priority JOURNEY > JOURNEY",
        ("purpose", Place::File) => "purpose NAME under marketing",
        ("purpose", _) => "purpose marketing",
        ("quiet", _) => "quiet hours 20:00 to 08:00 contact time for marketing then wait",
        ("rate", _) => "rate email at 500 per hour",
        ("record", _) => "record EVENT with { FIELD: VALUE }",
        ("reenter", _) => "reenter 30 days after exit",
        ("remove", _) => "remove VALUE from contact.ATTRIBUTE",
        ("removed", _) => "removed STEP then exit as REASON",
        ("repeat", _) => "repeat up to 3 times { … }",
        ("request", _) => "request ENDPOINT with { FIELD: VALUE } as NAME",
        ("resume", _) => "resume",
        ("run", _) => "run journey JOURNEY up to 10 days as NAME",
        ("runs", _) => "runs from 2026-12-01 to 2026-12-31",
        ("score", _) => "score NAME = 10 * count(EVENT within 90 days)",
        ("segment", _) => "segment NAME = CONDITION",
        ("send", _) => "send email TEMPLATE as NAME",
        ("set", _) => "set contact.ATTRIBUTE = VALUE",
        ("split", _) => "split NAME { … }",
        ("stage", _) => "stage NAME { … }",
        ("start", _) => "start journey JOURNEY",
        ("survey", _) => "survey NAME { satisfaction: number from 1 to 5 \"How was it?\" }",
        ("switch", _) => "switch VALUE { … }",
        ("take", _) => "take voucher from POOL as NAME",
        ("task", _) => "task NAME { script \"calls/visit\", outcomes [done, nobody_home] }",
        ("team", _) => "team NAME { hours monday to friday 09:00 to 18:00 project time }",
        ("template", _) => "template TEMPLATE transactional because \"why it needs no consent\"",
        ("test", _) => "test \"what is proved\" for JOURNEY { … }",
        ("variant", _) => "variant NAME 50% { … }",
        ("wait", _) => "wait 3 days` or `wait up to 3 days for EVENT as NAME",
        ("when", _) => "when EVENT as NAME { … }",
        ("withdraw", _) => "withdraw consent marketing on sms",
        _ => return None,
    })
}

/// What a line of a few verbs looks like by its second word.
pub(super) fn longer_form(text: &str) -> Option<&'static str> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    Some(match (words.next()?, words.next()?) {
        ("enter", "at") => "enter at 2026-12-01T09:00 contact time for SEGMENT",
        ("enter", "by") => "enter by start with { FIELD: TYPE }",
        ("enter", "cron") => "enter cron \"0 10 1 * *\" project time for SEGMENT",
        ("enter", "every") => {
            "enter every monday at 09:00 contact time` or `enter every anniversary of contact.ATTRIBUTE at 09:00 contact time"
        }
        ("enter", "when") => "enter when CONDITION",
        ("enter", "while") => "enter while CONDITION",
        ("enter", number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
            "enter 30 days before contact.ATTRIBUTE at 09:00 contact time"
        }
        ("exit", _) if super::gap::is_exit_rule(text) => {
            "exit as REASON on EVENT` or `exit as REASON when CONDITION"
        }
        ("send", "cheapest") => "send cheapest of [email, sms] TEMPLATE as NAME",
        ("send", "preferred") => "send preferred of [email, sms] TEMPLATE as NAME",
        ("wait", "forever") => "wait forever for EVENT as NAME",
        ("wait", "until") => {
            "wait until tuesday at 10:00`, `wait until 2026-12-24T10:00` or `wait until 2 days after STEP"
        }
        ("wait", "up") => "wait up to 3 days for EVENT as NAME` or `wait up to 3 days until CONDITION",
        _ => return None,
    })
}

/// What a line of a test looks like that begins with these two words.
pub(super) fn test_form(text: &str) -> Option<&'static str> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    Some(match (words.next()?, words.next()?) {
        ("expect", "call") => "expect call TASK",
        ("expect", "exit") => "expect exit as REASON",
        ("expect", "goal") => "expect goal GOAL",
        ("expect", "no") => "expect no send TEMPLATE` or `expect no more send",
        ("expect", "start") => "expect start JOURNEY",
        ("expect", "waiting") => "expect waiting at STEP",
        ("given", "consent" | "consents") => "given consent marketing on email",
        ("given", "event") => "given event EVENT { FIELD: VALUE } at 2026-01-10T12:00",
        ("given", "pool") => "given pool POOL [{ code: \"A1\" }]",
        ("given", "request") => "given request ENDPOINT returns { FIELD: VALUE }",
        ("given", "seed") => "given seed 7",
        ("given", "variant") => "given variant SPLIT = VARIANT",
        _ => return None,
    })
}

/// What was expected at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A word or sign to be written as it is.
    Word(&'static str),
    /// A kind of thing.
    Thing(&'static str),
    /// Any value.
    Value,
    /// An operator that would go on with an expression: possible after every value, so not worth telling.
    Operator,
    /// The statement might end here.
    End,
    /// Not worth telling.
    Nothing,
}

/// What a rule of the grammar is called. Keyword rules are called like their word.
pub(super) fn expected(rule: Rule) -> Expected {
    use Expected::{End, Nothing, Operator, Thing, Value, Word};
    if let Some(word) = keyword(rule) {
        return Word(word);
    }
    match rule {
        Rule::EOI => End,
        Rule::binop => Operator,
        Rule::expr
        | Rule::path
        | Rule::group
        | Rule::list
        | Rule::bool
        | Rule::presence
        | Rule::minus
        | Rule::wrong_not
        | Rule::consent_of
        | Rule::day_test
        | Rule::aggregate
        | Rule::agg_fn
        | Rule::funcall
        | Rule::fn_name => Value,
        Rule::name | Rule::word_as_name => Thing("a name"),
        Rule::field => Thing("the name of a field"),
        Rule::n_audience => Thing("the name of an audience"),
        Rule::n_channel => Thing("the name of a channel, such as `email`"),
        Rule::n_class => Thing("`transactional` or `marketing`"),
        Rule::n_endpoint => Thing("the name of an endpoint"),
        Rule::n_event => Thing("the name of an event"),
        Rule::n_evidence => Thing("the event or step that proves it"),
        Rule::n_goal => Thing("the name of a goal"),
        Rule::n_journey => Thing("the name of a journey"),
        Rule::n_outcome => Thing("an outcome of the task"),
        Rule::n_pool => Thing("the name of a pool"),
        Rule::n_purpose => Thing("a purpose, such as `marketing`"),
        Rule::n_reason => Thing("the reason of an exit"),
        Rule::n_split => Thing("the name of a split"),
        Rule::n_step => Thing("the name of a step"),
        Rule::n_survey => Thing("the name of a survey"),
        Rule::n_task => Thing("the name of a task"),
        Rule::n_team => Thing("the name of a team"),
        Rule::n_template => Thing("the name of a template"),
        Rule::n_variant => Thing("the name of a variant"),
        Rule::n_voucher => Thing("what is taken, such as `voucher`"),
        Rule::anchor | Rule::moment => Thing("a moment"),
        Rule::target => Thing("an attribute, such as `contact.plan`"),
        Rule::string => Thing("a text in `\"`"),
        Rule::datetime => Thing("a date with a time, such as `2026-12-24T09:00`"),
        Rule::date => Thing("a date, such as `2026-12-24`"),
        Rule::time => Thing("a clock time, such as `09:00`"),
        Rule::number | Rule::bound => Thing("a number"),
        Rule::percent => Thing("a share, such as `50%`"),
        Rule::unit => Thing("a unit of time"),
        Rule::duration => Thing("a duration, such as `3 days`"),
        Rule::weekday => Thing("a day of the week"),
        Rule::base | Rule::unknown_type | Rule::typ => Thing("a type, such as `text` or `number`"),
        Rule::record => Thing("`{`"),
        Rule::lbrace => Word("{"),
        Rule::rbrace => Word("}"),
        Rule::lparen => Word("("),
        Rule::rparen => Word(")"),
        Rule::lbracket => Word("["),
        Rule::rbracket => Word("]"),
        Rule::colon => Word(":"),
        Rule::eq => Word("="),
        Rule::plus => Word("+"),
        Rule::greater => Word(">"),
        Rule::limit => Word("up"),
        Rule::args => Word("with"),
        Rule::named | Rule::late_name => Word("as"),
        Rule::for_ | Rule::for_seg => Word("for"),
        Rule::block => Word("{"),
        _ => Nothing,
    }
}

/// The word that a keyword rule stands for.
pub(super) fn keyword(rule: Rule) -> Option<&'static str> {
    macro_rules! words {
        ($($rule:ident $word:literal)*) => { match rule { $(Rule::$rule => Some($word),)* _ => None } };
    }
    words! {
        k_add "add"  k_after "after"  k_and "and"  k_anniversary "anniversary"  k_always "always"
        k_as "as"  k_ask "ask"  k_assign "assign"  k_at "at"  k_audience "audience"  k_because "because"
        k_before "before"  k_between "between"  k_budget "budget"  k_by "by"  k_calendar "calendar"  k_call "call"
        k_cap "cap"  k_case "case"  k_change "change"  k_channel "channel"  k_consent "consent"
        k_contact "contact"  k_cron "cron"  k_deploy "deploy"  k_doubt "doubt"  k_each "each"  k_else "else"
        k_empty "empty"  k_endpoint "endpoint"  k_enter "enter"  k_entry "entry"  k_event "event"
        k_ever "ever"  k_every "every"  k_existing "existing"  k_exit "exit"  k_expect "expect"
        k_fails "fails"  k_finish "finish"  k_finished "finished"  k_first "first"  k_for "for"
        k_forever "forever"  k_from "from"  k_given "given"  k_go "go"  k_goal "goal"  k_grant "grant"
        k_hold "hold"  k_holdout "holdout"  k_hours "hours"  k_if "if"  k_import "import"  k_in "in"
        k_including "including"  k_is "is"  k_journey "journey"  k_keep "keep"  k_last "last"
        k_lasts "lasts"  k_late "late"  k_let "let"  k_limit "limit"  k_list "list"  k_loose "loose"
        k_max "max"  k_migrate "migrate"  k_more "more"  k_moved "moved"  k_never "never"  k_no "no"
        k_not "not"  k_of "of"  k_old "old"  k_on "on"  k_one "one"  k_pause "pause"  k_per "per"
        k_policy "policy"  k_pool "pool"  k_priority "priority"  k_project "project"  k_purpose "purpose"
        k_quiet "quiet"  k_rate "rate"  k_record "record"  k_reenter "reenter"  k_remove "remove"
        k_removed "removed"  k_repeat "repeat"  k_request "request"  k_restart "restart"
        k_resume "resume"  k_retry "retry"  k_returns "returns"  k_run "run"  k_runs "runs"  k_same "same"
        k_score "score"  k_seed "seed"  k_segment "segment"  k_send "send"  k_set "set"  k_since "since"
        k_skip "skip"  k_split "split"  k_stage "stage"  k_start "start"  k_survey "survey"
        k_switch "switch"  k_take "take"  k_target "target"  k_task "task"  k_team "team"
        k_template "template"  k_test "test"  k_then "then"  k_time "time"  k_timeout "timeout"
        k_timers "timers"  k_times "times"  k_to "to"  k_today "today"  k_under "under"  k_until "until"
        k_up "up"  k_variant "variant"  k_version "version"  k_wait "wait"  k_waiting "waiting"
        k_when "when"  k_where "where"  k_while "while"  k_with "with"  k_withdraw "withdraw"
        k_within "within"
    }
}

/// Whether a word is reserved, so that nothing may be called like it.
pub(super) fn is_reserved(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "add",
        "after",
        "and",
        "as",
        "ask",
        "assign",
        "at",
        "before",
        "between",
        "by",
        "call",
        "case",
        "consent",
        "contact",
        "each",
        "else",
        "empty",
        "enter",
        "entry",
        "ever",
        "exit",
        "expect",
        "false",
        "for",
        "forever",
        "from",
        "given",
        "go",
        "goal",
        "grant",
        "has",
        "if",
        "import",
        "in",
        "is",
        "journey",
        "known",
        "lasts",
        "let",
        "migrate",
        "not",
        "on",
        "or",
        "otherwise",
        "pause",
        "per",
        "purpose",
        "record",
        "reenter",
        "remove",
        "repeat",
        "request",
        "resume",
        "run",
        "runs",
        "same",
        "send",
        "set",
        "since",
        "split",
        "stage",
        "start",
        "switch",
        "take",
        "then",
        "to",
        "true",
        "unknown",
        "until",
        "up",
        "variant",
        "wait",
        "when",
        "where",
        "while",
        "with",
        "withdraw",
        "within",
    ];
    WORDS.contains(&word)
}
