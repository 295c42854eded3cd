//! What a place of a template can do with a value: the one rule by which the checker refuses types and the sender values.

use crate::time::{Date, TimeOfDay, Timestamp};
use crate::value::Type;

/// What a value has to be where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// It is only asked about.
    Anything,
    /// Something that can be written out: no list, no record.
    Text,
    /// A number or a decimal.
    Number,
    /// A percentage or a number.
    Percent,
    /// A date, a moment or a clock time.
    Date,
    /// A moment or a clock time.
    Clock,
    /// A whole link.
    Link,
    /// A code of ISO 4217.
    Currency,
    /// A list.
    List,
    /// A list or a record.
    Fields,
}

/// The currencies of ISO 4217 that are in use.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
     CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF \
     IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT \
     MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR \
     SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV \
     WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// What people write instead of the code.
const COLLOQUIAL: [(&str, &str); 8] = [
    ("€", "EUR"),
    ("EURO", "EUR"),
    ("EUROS", "EUR"),
    ("$", "USD"),
    ("DOLLAR", "USD"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("FRANKEN", "CHF"),
];

/// Whether it is a code of ISO 4217.
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && CURRENCIES.split_whitespace().any(|known| known == code)
}

/// The code that was probably meant.
pub fn near_currency(text: &str) -> Option<&'static str> {
    let upper = text.trim().to_uppercase();
    let named = COLLOQUIAL.iter().find(|(name, _)| *name == upper).map(|(_, code)| *code);
    named.or_else(|| CURRENCIES.split_whitespace().find(|code| *code == upper))
}

/// Whether a mail may have this link. `Err` says why not, in words that follow its variable's name.
pub fn link_allowed(link: &str) -> Result<(), &'static str> {
    let scheme = link.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    let hidden = link.chars().any(|c| c.is_control() || c.is_whitespace());
    match scheme.as_str() {
        _ if hidden => Err("is a link with spaces or control characters in it"),
        "http" | "https" if link[scheme.len() + 1..].starts_with("//") => Ok(()),
        "mailto" | "tel" => Ok(()),
        "" => Err("is no whole link; it must begin with `https://`"),
        _ => Err("is a link that no mail may have; only http, https, mailto and tel are let through"),
    }
}

impl Wants {
    /// What a value of a helper has to be; `outer` is what its result has to be.
    pub(super) fn of_value(helper: &str, place: usize, form: Option<&str>, outer: Wants) -> Wants {
        match (helper, place) {
            ("if" | "unless" | "with", _) => Wants::Anything,
            ("each", _) => Wants::List,
            ("date", 0) if form == Some("time") => Wants::Clock,
            ("date", 0) => Wants::Date,
            ("default", _) => outer,
            ("lookup", 0) => Wants::Fields,
            ("money" | "number" | "plural", 0) => Wants::Number,
            ("money", 1) => Wants::Currency,
            ("percent", 0) => Wants::Percent,
            ("url", 0) => Wants::Link,
            _ => Wants::Text,
        }
    }

    /// In words, with an article.
    pub fn noun(self) -> &'static str {
        match self {
            Wants::Anything => "a value",
            Wants::Text => "a text",
            Wants::Number => "a number",
            Wants::Percent => "a percentage",
            Wants::Date => "a date",
            Wants::Clock => "a moment or a clock time",
            Wants::Link => "a link",
            Wants::Currency => "a currency such as \"EUR\"",
            Wants::List => "a list",
            Wants::Fields => "a list or a record",
        }
    }

    /// Whether values of the type can do. A text may be a link or a currency, which only its value tells.
    pub fn takes(self, ty: &Type) -> bool {
        let ty = ty.required();
        match self {
            Wants::Anything => true,
            Wants::Text => !matches!(ty, Type::List(_) | Type::Record(_)),
            Wants::Number => matches!(ty, Type::Number(_) | Type::Decimal(_)),
            Wants::Percent => matches!(ty, Type::Number(_) | Type::Decimal(_) | Type::Percent),
            Wants::Date => matches!(ty, Type::Date | Type::Moment | Type::Time),
            Wants::Clock => matches!(ty, Type::Moment | Type::Time),
            Wants::Link => matches!(ty, Type::Text),
            Wants::Currency => match ty {
                Type::OneOf(codes) => codes.iter().all(|code| is_currency(code)),
                other => *other == Type::Text,
            },
            Wants::List => matches!(ty, Type::List(_)),
            Wants::Fields => matches!(ty, Type::List(_) | Type::Record(_)),
        }
    }

    /// Whether a text that is known can do.
    pub fn takes_text(self, text: &str) -> bool {
        let is_number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
            [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        match self {
            Wants::Anything | Wants::Text => true,
            Wants::Number => is_number(text),
            Wants::Percent => is_number(text.trim_end_matches('%')),
            Wants::Date => text.parse::<Date>().is_ok() || Wants::Clock.takes_text(text),
            Wants::Clock => text.parse::<Timestamp>().is_ok() || text.parse::<TimeOfDay>().is_ok(),
            Wants::Link => link_allowed(text.trim()).is_ok(),
            Wants::Currency => is_currency(text),
            Wants::List | Wants::Fields => false,
        }
    }

    /// Whether what a helper makes can do; all but `url` make a text for people.
    pub(super) fn takes_result_of(self, helper: &str) -> bool {
        matches!(self, Wants::Anything | Wants::Text)
            || (self == Wants::Link && helper == "url")
            || matches!(helper, "default" | "lookup")
    }
}
