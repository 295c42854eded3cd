//! The rules of a policy.

use super::{Clock, Duration, Name, Number, Unit, Zone};
use crate::diagnostic::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub kind: RuleKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    Consent {
        purpose: Name,
        channels: Vec<Name>,
    },
    Quiet {
        from: Clock,
        to: Clock,
        zone: Option<Zone>,
        purpose: Name,
        channels: Vec<Name>,
        then: Then,
    },
    /// `cap email marketing at 3 per 7 days then wait up to 3 days`; `words` are the one or two names after `cap`.
    Cap {
        words: Vec<Name>,
        number: Number,
        window: CapWindow,
        then: Then,
    },
    /// `rate email at 500 per hour`
    Rate {
        words: Vec<Name>,
        number: Number,
        per: Unit,
    },
    MaxAudience {
        number: Number,
        purpose: Name,
    },
    Priority(Vec<Name>),
    Holdout {
        share: Number,
        purpose: Name,
    },
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CapWindow {
    Rolling(Duration),
    Calendar(Unit),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    Wait(Option<Duration>),
    Skip,
    Exit,
}
