//! The near miss: which known name an unknown one was probably meant to be.

use strsim::{jaro_winkler, osa_distance};

/// The candidate that is most like `word`, if one is like it at all. Capital letters do not count; of two that are
/// equally near, the earlier one is taken.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates.into_iter().filter(|c| *c != word) {
        let Some(score) = likeness(&lower, &candidate.to_lowercase()) else { continue };
        if best.is_none_or(|(high, _)| score > high) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Those of the candidates that are most like `word`, the likest first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut all: Vec<(f64, &str)> =
        candidates.into_iter().map(|candidate| (jaro_winkler(word, candidate), candidate)).collect();
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    all.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// Whether nobody could have meant anything else by `word`: it differs from `meant` by capital letters or `_` alone, or, in
/// a word of some length, by one letter too many, too few, wrong or changed places with the next. A wrong digit is no slip:
/// `reminder_1` and `reminder_2` are both meant.
pub fn is_slip(word: &str, meant: &str) -> bool {
    let bare = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let (a, b) = (bare(word), bare(meant));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let is_word = |text: &str| text.chars().all(char::is_alphanumeric) && text.contains(char::is_alphabetic);
    if !is_word(&a) || !is_word(&b) || digits(&a) != digits(&b) {
        return false;
    }
    let (short, long) = (a.chars().count().min(b.chars().count()), a.chars().count().max(b.chars().count()));
    let mut letters = [a.chars().collect::<Vec<_>>(), b.chars().collect::<Vec<_>>()];
    letters.iter_mut().for_each(|word| word.sort_unstable());
    // one letter for another makes other words of short ones: `card`, `cart`
    let enough = if short == long && letters[0] != letters[1] { 6 } else { 4 };
    a == b || long >= enough && short >= 3 && osa_distance(&a, &b) == 1
}

/// The tail of a message: `, did you mean `x`?`, or nothing.
pub fn question<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(word, candidates).map_or(String::new(), |name| format!(", did you mean `{name}`?"))
}

/// None for words that nobody would mistake for each other.
fn likeness(word: &str, candidate: &str) -> Option<f64> {
    if word == candidate || same_parts(word, candidate) {
        return Some(2.0);
    }
    let (a, b) = (word.chars().count(), candidate.chars().count());
    let distance = osa_distance(word, candidate);
    let few_slips = distance <= (a.max(b) / 3).max(1) && a.min(b) > 1 && distance < a.min(b);
    let begun = a >= 4 && candidate.starts_with(word) || b >= 4 && word.starts_with(candidate);
    (few_slips || begun).then(|| 1.0 - distance as f64 / a.max(b) as f64 + jaro_winkler(word, candidate))
}

/// `name_first` for `first_name`.
fn same_parts(word: &str, candidate: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<_> = text.split(['_', '.', '-']).map(str::to_owned).collect();
        parts.sort();
        parts
    };
    word.len() == candidate.len() && parts(word) == parts(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        let names = [
            "first_name",
            "email",
            "phone",
            "plan",
            "postal",
            "order_placed",
            "order_canceled",
            "cart_updated",
            "days",
            "hours",
            "months",
            "send",
            "set",
            "voucher.issue",
            "vip",
            "en",
        ];
        let cases = [
            ("frist_name", Some("first_name")),
            ("firstname", Some("first_name")),
            ("first", Some("first_name")),
            ("name_first", Some("first_name")),
            ("FIRST_NAME", Some("first_name")),
            ("emial", Some("email")),
            ("e_mail", Some("email")),
            ("sned", Some("send")),
            ("dyas", Some("days")),
            ("day", Some("days")),
            ("hrs", None),
            ("order_cancelled", Some("order_canceled")),
            ("order_place", Some("order_placed")),
            ("orderplaced", Some("order_placed")),
            ("voucher_issue", Some("voucher.issue")),
            ("vi", Some("vip")),
            ("pohne", Some("phone")),
            ("birthday", None),
            ("x", None),
            ("", None),
            ("warehouse", None),
            ("sms", None),
        ];
        for (word, expected) in cases {
            assert_eq!(did_you_mean(word, names), expected, "{word}");
        }
    }

    #[test]
    fn a_slip_can_only_have_been_meant_so() {
        for (word, meant) in [
            ("sned", "send"),
            ("dyas", "days"),
            ("Plan", "plan"),
            ("firstname", "first_name"),
            ("webinarid", "webinar_id"),
            ("discuont", "discount"),
            ("orders_placed", "order_placed"),
            ("clickd", "clicked"),
            ("mail", "email"),
            ("reminder2", "reminder_2"),
            ("websete", "website"),
        ] {
            assert!(is_slip(word, meant), "{word} {meant}");
        }
        for (word, meant) in [
            ("webinar_id", "webinar"),
            ("miss_you", "miss"),
            ("we_miss_you", "miss_you"),
            ("m", "minutes"),
            ("at", "as"),
            ("card", "cart"),
            ("reminder_1", "reminder_2"),
            ("order_place", "order_placement"),
            ("", "x"),
            ("1", "2"),
            ("to", "go"),
        ] {
            assert!(!is_slip(word, meant), "{word} {meant}");
        }
    }

    #[test]
    fn the_likest_come_first() {
        assert_eq!(nearest("fone", ["email", "plan", "phone", "vip"], 2), ["phone", "plan"]);
        assert!(nearest("x", [], 2).is_empty());
    }

    #[test]
    fn the_nearest_wins_and_then_the_earlier() {
        assert_eq!(did_you_mean("car", ["cars", "cart"]), Some("cars"));
        assert_eq!(
            did_you_mean("reminder_2", ["reminder", "reminder_1", "reminder_20"]),
            Some("reminder_20")
        );
        assert_eq!(did_you_mean("plan", ["plan"]), None, "a name is no suggestion for itself");
        assert_eq!(question("emial", ["email"]), ", did you mean `email`?");
        assert_eq!(question("x", ["email"]), "");
    }
}
