//! The table of all codes: what each is called, what it says in one line, and whether its check runs yet.
//!
//! A code is never given to another mistake, not even after it is gone. The letter is the severity, the first two
//! digits are the group. To let a check run, change `later` to `now` in its row.

use std::fmt;

use super::Severity;

struct Row {
    code: Code,
    text: &'static str,
    name: &'static str,
    headline: &'static str,
    group: Group,
    available: bool,
}

macro_rules! codes {
    ($($group:ident $number:literal $title:literal { $($code:ident $when:ident $name:literal $headline:literal)* })*) => {
        /// A subject that checks speak about; the first two digits of a code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Group { $(#[doc = $title] $group,)* }

        impl Group {
            /// All groups in the order of their numbers.
            pub const ALL: &[Group] = &[$(Group::$group,)*];

            /// The first two digits of its codes.
            pub fn number(self) -> &'static str {
                match self { $(Group::$group => $number,)* }
            }

            /// What its codes speak about.
            pub fn title(self) -> &'static str {
                match self { $(Group::$group => $title,)* }
            }
        }

        /// Names one check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $headline] $code,)*)* }

        impl Code {
            /// All codes, group by group.
            pub const ALL: &[Code] = &[$($(Code::$code,)*)*];
        }

        const ROWS: &[Row] = &[$($(Row {
            code: Code::$code,
            text: stringify!($code),
            name: $name,
            headline: $headline,
            group: Group::$group,
            available: available!($when),
        },)*)*];
    };
}

macro_rules! available {
    (now) => {
        true
    };
    (later) => {
        false
    };
}

codes! {
    Text "00" "text" {
        E0001 now "unreadable-statement" "a statement cannot be read"
        E0002 now "unclosed-block" "a block is not closed"
        E0003 now "typographic-character" "typographic quotes or dash"
        W0004 now "confusable-character" "invisible, direction-changing or look-alike characters"
        I0005 now "untidy-text" "tabs, CR LF line ends or a byte order mark"
        E0006 now "unknown-statement" "a statement begins with an unknown word"
        E0007 now "left-over-text" "text is left over after a statement"
        E0008 now "reserved-name" "a word of the language is used as a name"
        E0009 now "not-available-yet" "a form of a later release"
    }
    Names "01" "names and types" {
        E0101 now "unknown-name" "a name that is declared nowhere"
        E0102 now "duplicate-name" "a name is declared twice"
        E0103 now "type-mismatch" "two types that do not fit together"
        E0104 now "unknown-value" "a value that is not in the list"
        E0105 now "unguarded-optional" "a value that may be missing is used without a check"
        E0106 now "result-without-step" "a result is used where its step may not have run"
        E0107 now "equals-sign" "`=` or `==` in a condition"
        W0108 now "constant-condition" "a condition is always true or always false"
        W0109 now "unused-name" "a variable, result or import is never used"
        E0110 now "unknown-field" "the event does not have this field"
        W0111 now "personal-data-sent-out" "personal data goes to an endpoint"
        E0112 now "outcome-word-as-field" "an outcome word is used as a field of an event"
        E0113 now "out-of-range" "a value outside its range"
        E0114 now "attribute-without-default" "an attribute is neither optional nor has a default"
        W0115 now "cut-to-range" "a value may be cut to the range of its attribute"
        E0121 now "ambiguous-word" "a bare word is both a variable and a listed value"
    }
    Entry "02" "entry and end" {
        E0201 now "journey-without-entry" "a journey without `enter` never runs"
        W0202 now "impossible-entry" "nobody can ever enter"
        W0203 now "self-triggering-journey" "a journey triggers itself"
        W0204 now "journey-cycle" "journeys trigger each other in a circle"
        E0205 now "invalid-cron" "a cron text is invalid or never fires"
        W0206 now "cron-without-zone" "a cron text without a time zone"
        E0210 now "missing-reentry" "re-entry is not stated"
        W0211 now "parallel-enrollments" "every event starts an enrollment, without a key"
        W0212 now "overlapping-reentry" "a contact may re-enter before the longest path ends"
        E0213 now "conflicting-entries" "several `enter` lines disagree in type"
    }
    Flow "03" "flow" {
        E0301 now "loose-end" "a path falls off the end"
        E0302 now "unreachable-step" "a step is never reached"
        E0303 now "loop-without-wait" "a loop or a `go to` circle without a wait"
        E0304 now "unbounded-cycle" "a circle without a bound"
        E0305 now "missing-case" "a switch does not cover every value"
        W0306 now "equal-branches" "both branches do the same"
        E0307 now "handler-loose-end" "a handler path without `resume`, `go to` or `exit`"
        W0308 now "oversized-journey" "a very deep or very long journey"
        E0309 now "unknown-stage" "`go to` an unknown stage"
        E0310 now "else-falls-through" "the `else` of a request or take does not leave"
        I0311 now "pool-may-be-empty" "a pool may be empty, and nothing says what happens then"
    }
    Time "04" "time and events" {
        W0401 now "wait-forever" "a wait without an end"
        E0402 now "wait-without-limit" "a wait for something without a limit"
        E0403 now "longer-than-lasts" "the longest path exceeds `lasts`"
        W0404 now "wait-beyond-validity" "a wait outlives what it needs"
        W0405 now "clock-change" "a clock time that is missing or twice when clocks change"
        W0406 now "hours-for-day" "a day's delay before a clock-time step probably means a calendar day"
        W0407 now "echo-before-wait" "the event may arrive before the wait begins"
        I0408 now "waiting-for-the-past" "what is waited for may already have happened"
        E0409 now "wait-of-nothing" "a wait of zero, less, or until the past"
        W0410 now "uncorrelated-event" "an event is matched without saying which one"
        W0411 now "shadowed-handler" "a handler and an `exit as … on` share an event"
        E0412 now "beyond-retention" "history is asked further back than it is kept"
        W0413 now "working-days-without-calendar" "working days without holidays"
        I0414 now "rare-anniversary" "a yearly or monthly rule on a day that not every year or month has"
        E0415 now "missing-reach" "a question about history without a reach"
        W0416 now "newcomers-included" "a negative question that newcomers pass too"
        W0417 now "past-anchor" "an anchor that may lie in the past"
    }
    Sending "05" "sending and consent" {
        E0501 now "send-without-consent" "a marketing message on a path without consent"
        E0502 now "marketing-in-transactional" "a transactional template with marketing content"
        I0503 now "address-may-be-missing" "the address of a marketing message may be missing"
        W0504 now "back-to-back-sends" "two messages on one channel without a wait between"
        I0505 now "repeated-template" "one template can be reached twice"
        E0507 now "missing-unsubscribe-link" "a marketing mail without a way to unsubscribe"
        W0508 now "call-outside-hours" "work can be over before anybody is there to do it"
        E0509 now "task-without-limit" "work for people or a question without a limit or a known team"
        I0510 now "transactional-address-may-be-missing" "the address of a transactional message may be missing"
    }
    Policies "06" "policies" {
        W0601 now "fixed-time-in-quiet-hours" "a fixed time lies inside quiet hours"
        E0602 now "impossible-cap" "a journey needs more messages than the cap allows"
        E0603 now "no-sending-window" "quiet hours cover the whole allowed window"
        W0604 later "incomplete-priorities" "a journey is missing in the priority list"
        W0605 now "short-cap-wait" "the wait for a cap is too short for its window"
        E0606 later "cyclic-priorities" "the priority list goes in a circle"
        W0607 now "idle-budget" "a budget does not count what the journey does"
    }
    Splits "07" "splits and goals" {
        E0701 now "shares-not-100" "shares do not sum to 100 %"
        W0702 later "small-sample" "too few contacts to see a difference"
        E0703 now "unknown-goal" "a goal that the journey does not have"
        W0704 now "unreachable-goal" "a goal can never be reached in time"
        W0705 now "unused-goal" "a goal or exit reason is never used"
        W0706 now "identical-variants" "variants of a split are identical"
    }
    Templates "08" "templates" {
        E0801 now "missing-template" "a template does not exist"
        E0802 now "missing-locale" "a template is missing for a language, and for every fallback"
        E0803 now "missing-variable" "a variable in a template is not supplied"
        W0804 now "unused-variable" "a supplied variable is not used by the template"
        E0805 now "unguarded-variable" "a value that may be missing is printed without a guard"
        W0806 now "uneven-locales" "languages of a template use different variables, or one is missing"
        E0807 now "unreadable-template" "a template cannot be read"
        W0808 now "weak-message" "a subject or text part that harms delivery"
    }
    Versions "09" "versions" {
        E0901 later "occupied-step-gone" "a step where contacts rest has disappeared"
        E0902 later "incompatible-move" "contacts cannot be moved to this step"
        W0903 now "indistinguishable-steps" "steps that a plan could not tell apart"
        E0904 later "changed-result-type" "a result changed its type while contacts are on their way"
        W0905 later "obsolete-migration" "a migration entry is no longer needed"
        E0906 later "schema-breaks-journey" "a schema change breaks a deployed journey"
        W0907 later "changed-split" "a split changed while contacts are on their way"
    }
    Tests "10" "tests" {
        I1001 now "journey-without-test" "a journey without a test"
        W1002 now "untested-branch" "a branch or exit that no test reaches"
        E1003 now "impossible-test" "a test can never pass"
    }
    Operations "11" "operations" {
        W1101 later "volume-above-limit" "the expected volume exceeds a channel's limit"
        W1102 now "fragile-endpoint" "an endpoint that is asked once, or for too long"
        W1103 now "secret-in-file" "a secret is written into a file"
        W1104 now "inside-address" "an endpoint leads into a network of our own"
    }
}

impl Code {
    /// The code as it is written: `E0101`. Small letters are understood.
    pub fn parse(text: &str) -> Option<Code> {
        ROWS.iter().find(|row| row.text.eq_ignore_ascii_case(text)).map(|row| row.code)
    }

    /// The code that has this name, such as `unknown-name`.
    pub fn by_name(name: &str) -> Option<Code> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.code)
    }

    /// The code as it is written: `E0101`.
    pub fn as_str(self) -> &'static str {
        self.row().text
    }

    /// The name of the mistake, in kebab case.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The mistake in one line, without saying where.
    pub fn headline(self) -> &'static str {
        self.row().headline
    }

    /// The subject it belongs to.
    pub fn group(self) -> Group {
        self.row().group
    }

    /// Whether the check runs in this release.
    pub fn available(self) -> bool {
        self.row().available
    }

    /// The severity, which is the letter.
    pub fn severity(self) -> Severity {
        match self.as_str().as_bytes()[0] {
            b'E' => Severity::Error,
            b'W' => Severity::Warning,
            _ => Severity::Note,
        }
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_found_by_its_code_and_its_name() {
        for (&code, row) in Code::ALL.iter().zip(ROWS) {
            assert_eq!(row.code, code);
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(code));
            assert_eq!(Code::by_name(code.name()), Some(code));
        }
        assert_eq!(Code::parse("E9999"), None);
        assert_eq!(Code::parse(""), None);
    }

    #[test]
    fn all_codes_are_there_with_unique_numbers_and_names() {
        assert_eq!(Code::ALL.len(), 107);
        let numbers: HashSet<_> = Code::ALL.iter().map(|c| &c.as_str()[1..]).collect();
        let names: HashSet<_> = Code::ALL.iter().map(|c| c.name()).collect();
        assert_eq!((numbers.len(), names.len()), (107, 107));
        assert!(Code::ALL.is_sorted_by_key(|c| &c.as_str()[1..]));
    }

    #[test]
    fn letter_digits_and_names_are_well_formed() {
        for &code in Code::ALL {
            let (letter, digits) = code.as_str().split_at(1);
            assert!("EWI".contains(letter) && digits.len() == 4, "{code}");
            assert_eq!(&digits[..2], code.group().number(), "{code}");
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(code.name().chars().all(kebab), "{code}");
            assert!(!code.headline().ends_with('.') && !code.headline().is_empty(), "{code}");
        }
        assert_eq!(Code::E0101.severity(), Severity::Error);
        assert_eq!(Code::W0108.severity(), Severity::Warning);
        assert_eq!(Code::I0005.severity(), Severity::Note);
    }

    #[test]
    fn the_table_says_what_runs_already() {
        let whole = [Group::Text, Group::Names, Group::Entry, Group::Flow, Group::Templates, Group::Tests];
        for &code in Code::ALL.iter().filter(|c| whole.contains(&c.group())) {
            assert!(code.available(), "{code}");
        }
        assert!(!Code::E0901.available());
    }
}
