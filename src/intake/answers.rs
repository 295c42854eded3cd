//! What people answer to the questions of a survey, read as the types that it declares: fields of a form, and texts that were sent
//! back. People write `Ja`, `3,5` and `24.12.2026`; what could be meant in two ways is not read at all.

use std::collections::BTreeMap;

use crate::engine::program::{Question, Survey, Word};
use crate::engine::world::Fields;
use crate::time::{Date, TimeOfDay, Zone};
use crate::value::{self, Type, Value};

/// The longest answer, in characters.
pub const LONGEST: usize = 4_000;

/// The largest scale that is shown as steps to choose from.
const STEPS: i64 = 11;

/// Why an answer cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has to be given.
    Missing,
    TooLong,
    /// It is not of the type.
    Misfit,
}

/// Answers that were typed into a form, by the names of the fields; or what is wrong with each that cannot be taken.
pub fn read_form(
    survey: &Survey,
    given: &BTreeMap<String, String>,
    zone: &Zone,
) -> Result<Fields, BTreeMap<Word, Wrong>> {
    let (mut fields, mut wrong) = (Fields::new(), BTreeMap::new());
    for question in &survey.questions {
        let name = &question.field.name;
        match read_one(&question.field.ty, given.get(&**name).map_or("", String::as_str), zone) {
            Ok(value) if value.is_known() => _ = fields.insert(name.clone(), value),
            Ok(_) => {}
            Err(why) => _ = wrong.insert(name.clone(), why),
        }
    }
    if wrong.is_empty() { Ok(fields) } else { Err(wrong) }
}

/// The answers in a text: one value for each question, in order, with commas or blanks between them; a last question for a text
/// takes what is left. `None`: it is no answer to these questions, or could be read in two ways.
pub fn read_text(survey: &Survey, text: &str, zone: &Zone) -> Option<Fields> {
    let text = text.trim();
    let questions = &survey.questions;
    if questions.is_empty() || text.is_empty() {
        return None;
    }
    let by_comma = || {
        let has_decimals = questions.iter().any(|question| is_decimal(&question.field.ty));
        let comma: &[char] = if has_decimals { &[';', '\n'] } else { &[',', ';', '\n'] };
        read_parts(questions, text, zone, |text| split(text, |c| comma.contains(&c)))
    };
    let by_blank = || {
        // A text in the middle has no end that anybody could tell.
        let (_, all_but_last) = questions.split_last()?;
        let is_clear = all_but_last.iter().all(|question| *question.field.ty.required() != Type::Text);
        let next = |text| {
            let (part, rest) = split(text, char::is_whitespace);
            (part.trim_end_matches([',', ';']), rest)
        };
        if is_clear { read_parts(questions, text, zone, next) } else { None }
    };
    match questions.as_slice() {
        [one] => read_parts(std::slice::from_ref(one), text, zone, |text| (text, "")),
        _ => by_comma().or_else(by_blank),
    }
}

/// The first part of a text, and what is left behind it.
fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_once(&ends).unwrap_or((text, ""))
}

/// Reads part after part; a last question for a text takes the whole rest.
fn read_parts<'t>(
    questions: &[Question],
    text: &'t str,
    zone: &Zone,
    next: impl Fn(&'t str) -> (&'t str, &'t str),
) -> Option<Fields> {
    let (mut fields, mut rest) = (Fields::new(), text);
    for (number, question) in questions.iter().enumerate() {
        let is_last = number + 1 == questions.len();
        let ty = &question.field.ty;
        let part = if is_last && *ty.required() == Type::Text {
            std::mem::take(&mut rest)
        } else {
            let (part, behind) = next(rest);
            rest = behind.trim_start();
            part
        };
        let part = part.trim();
        let part = if part == "-" { "" } else { part };
        let value = read_one(ty, part, zone).ok()?;
        if value.is_known() {
            fields.insert(question.field.name.clone(), value);
        }
    }
    // Nothing may be left over, and something must have been said.
    (rest.trim().is_empty() && !fields.is_empty()).then_some(fields)
}

/// One answer as people write it.
fn read_one(ty: &Type, typed: &str, zone: &Zone) -> Result<Value, Wrong> {
    let text = typed.trim();
    if text.is_empty() {
        return if ty.is_optional() { Ok(Value::Unknown) } else { Err(Wrong::Missing) };
    }
    if text.chars().count() > LONGEST {
        return Err(Wrong::TooLong);
    }
    let ty = ty.required();
    let plain = text.trim_end_matches(['.', '!']);
    let read = |text: &str| value::from_text(ty, text).map_err(|_| Wrong::Misfit);
    match ty {
        Type::Text | Type::Address => {
            let clean: String = text.chars().filter(|c| *c != '\0').collect();
            if clean.is_empty() { Err(Wrong::Missing) } else { read(&clean) }
        }
        Type::YesNo => match plain.to_lowercase().as_str() {
            "yes" | "y" | "ja" | "j" | "true" => Ok(Value::Bool(true)),
            "no" | "n" | "nein" | "false" => Ok(Value::Bool(false)),
            _ => Err(Wrong::Misfit),
        },
        Type::Number(_) if plain.contains(['e', 'E']) => Err(Wrong::Misfit),
        Type::Number(_) => read(plain),
        // A comma is what many keyboards offer.
        Type::Decimal(_) => read(&plain.replace(',', ".")),
        Type::Percent => read(&plain.replace(',', ".").replace(' ', "")),
        Type::OneOf(values) => {
            let found = values.iter().find(|value| loose(value) == loose(plain));
            found.map(|value| Value::Text(value.clone())).ok_or(Wrong::Misfit)
        }
        Type::Date => date(plain).map(Value::Date).ok_or(Wrong::Misfit),
        Type::Time => time(plain).map(Value::Time).ok_or(Wrong::Misfit),
        Type::Moment => {
            let local = || {
                let (day, clock) = text.split_once(['T', ' '])?;
                Some(Value::Moment(zone.at(date(day)?, time(clock)?)))
            };
            // Without a zone it is told by the clocks of whoever answers.
            local().map_or_else(|| read(text), Ok)
        }
        _ => read(text),
    }
}

/// A word as people may write it: without capitals, and with blanks for signs between words.
fn loose(word: &str) -> String {
    word.to_lowercase().replace(['_', '-'], " ")
}

/// `2026-12-24`, `24.12.2026`.
fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(day), Some(month), Some(year), None) if year.trim().len() == 4 => {
            format!("{}-{:0>2}-{:0>2}", year.trim(), month.trim(), day.trim()).parse().ok()
        }
        _ => text.parse().ok(),
    }
}

/// `09:30`, `9:30`, `9:30:00`.
fn time(text: &str) -> Option<TimeOfDay> {
    let text = text.trim();
    let (hour, rest) = text.split_once(':')?;
    let minute = rest.get(..2)?;
    match rest.get(2..)? {
        "" | ":00" => format!("{hour:0>2}:{minute}").parse().ok(),
        _ => None,
    }
}

fn is_decimal(ty: &Type) -> bool {
    matches!(ty.required(), Type::Decimal(_) | Type::Percent)
}

/// The steps of a scale, if the type is one that people choose from: few whole numbers.
pub fn scale(ty: &Type) -> Option<(i64, i64)> {
    match ty.required() {
        Type::Number(Some((low, high)))
            if high.checked_sub(*low).is_some_and(|n| (0..STEPS).contains(&n)) =>
        {
            Some((*low, *high))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::FieldType;

    fn survey(fields: &[(&str, Type)]) -> Survey {
        let question = |(name, ty): &(&str, Type)| Question {
            field: FieldType { name: (*name).into(), ty: ty.clone() },
            text: (*name).into(),
        };
        Survey { title: "t".into(), questions: fields.iter().map(question).collect() }
    }

    fn read(survey: &Survey, text: &str) -> Option<String> {
        let fields = read_text(survey, text, &Zone::utc())?;
        let shown = fields.iter().map(|(name, value)| format!("{name}={}", value.to_json()));
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_text_is_read_in_one_way_or_not_at_all() {
        let scale = || Type::Number(Some((0, 10)));
        let words = Type::OneOf(["very_good".into(), "bad".into()].into());
        let nps = survey(&[("nps", scale()), ("why", Type::Text.optional())]);
        let two = survey(&[("s", scale()), ("b", scale())]);
        let one = survey(&[("s", scale())]);
        let again = survey(&[("again", Type::YesNo)]);
        let mood = survey(&[("mood", words)]);
        let price = survey(&[("price", Type::Decimal(None)), ("ok", Type::YesNo)]);
        let free = survey(&[("text", Type::Text)]);
        let muddled = survey(&[("text", Type::Text), ("s", scale())]);
        for (survey, text, expected) in [
            (&nps, "8", Some("nps=8")),
            (&nps, " 8 great service ", Some("nps=8 why=\"great service\"")),
            (&nps, "8, great, really", Some("nps=8 why=\"great, really\"")),
            (&nps, "8\ngreat", Some("nps=8 why=\"great\"")),
            (&nps, "11 great", None),
            (&nps, "great 8", None),
            (&nps, "", None),
            (&one, "8", Some("s=8")),
            (&one, "8.", Some("s=8")),
            (&one, "10 minutes late", None),
            (&one, "8 9", None),
            (&one, "7.5", None),
            (&one, "1e1", None),
            (&one, "-1", None),
            (&two, "4, 5", Some("b=5 s=4")),
            (&two, "4 5", Some("b=5 s=4")),
            (&two, "4;5", Some("b=5 s=4")),
            (&two, "4", None),
            (&two, "4 5 6", None),
            (&again, "Ja!", Some("again=true")),
            (&again, "no", Some("again=false")),
            (&again, "perhaps", None),
            (&again, "ja nein", None),
            (&mood, "Very good", Some("mood=\"very_good\"")),
            (&mood, "good", None),
            (&price, "3,5 ja", Some("ok=true price=\"3.50\"")),
            (&price, "3,5; nein", Some("ok=false price=\"3.50\"")),
            (&free, "4, 5, all of it", Some("text=\"4, 5, all of it\"")),
            (&muddled, "good, 4", Some("s=4 text=\"good\"")),
            (&muddled, "good 4", None),
        ] {
            assert_eq!(read(survey, text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_form_says_of_each_field_what_is_wrong() {
        let survey = survey(&[
            ("day", Type::Date),
            ("time", Type::Time),
            ("at", Type::Moment.optional()),
            ("note", Type::Text.optional()),
            ("share", Type::Percent),
        ]);
        let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let berlin = Zone::named("Europe/Berlin").expect("compiled in");
        let good = [("day", "24.12.2026"), ("time", "9:30"), ("at", "2026-12-24T10:00"), ("share", "12,5 %")];
        let read = read_form(&survey, &given(&good), &berlin).expect("all fit");
        let json = |name: &str| read[name].to_json();
        assert_eq!((json("day"), json("time")), ("2026-12-24".into(), "09:30".into()));
        assert_eq!((json("at"), json("share")), ("2026-12-24T09:00:00Z".into(), "12.50%".into()));
        assert!(!read.contains_key("note"));
        let long = "x".repeat(LONGEST + 1);
        let bad = [("day", "31.2.2026"), ("time", ""), ("at", "soon"), ("note", &long), ("share", "much")];
        let wrong = read_form(&survey, &given(&bad), &berlin).expect_err("nothing fits");
        let expected = [
            ("at", Wrong::Misfit),
            ("day", Wrong::Misfit),
            ("note", Wrong::TooLong),
            ("share", Wrong::Misfit),
            ("time", Wrong::Missing),
        ];
        assert_eq!(wrong, expected.map(|(name, why)| (name.into(), why)).into());
    }

    #[test]
    fn few_whole_numbers_are_a_scale() {
        assert_eq!(scale(&Type::Number(Some((0, 10)))), Some((0, 10)));
        assert_eq!(scale(&Type::Number(Some((1, 5))).optional()), Some((1, 5)));
        for ty in [Type::Number(Some((0, 11))), Type::Number(None), Type::Number(Some((i64::MIN, i64::MAX)))]
        {
            assert_eq!(scale(&ty), None);
        }
    }
}
