//! The formatter: one layout, nothing lost, nothing changed.

use fahrplan::diagnostic::FileId;
use fahrplan::lang::format::format;
use fahrplan::lang::parse::parse;
use proptest::prelude::*;

const SAMPLES: [(&str, &str); 7] = [
    ("abandoned_cart", include_str!("lang/samples/abandoned_cart.journey")),
    ("birthday", include_str!("lang/samples/birthday.journey")),
    ("complaint_care", include_str!("lang/samples/complaint_care.journey")),
    ("policies", include_str!("lang/samples/policies.journey")),
    ("schema", include_str!("lang/samples/schema.journey")),
    ("welcome", include_str!("lang/samples/welcome.journey")),
    ("win_back", include_str!("lang/samples/win_back.journey")),
];
const BROKEN: [&str; 7] = [
    include_str!("lang/parse/odd.journey"),
    include_str!("lang/parse/wrong.journey"),
    include_str!("lang/parse/statements.journey"),
    include_str!("lang/parse/conditions.journey"),
    include_str!("lang/parse/declarations.journey"),
    include_str!("lang/parse/tests.journey"),
    include_str!("lang/parse/places.journey"),
];
const FORMS: &str = include_str!("lang/parse/forms.journey");
const UNTIDY: &str = include_str!("lang/format/untidy.journey");

/// Formats and checks what must hold for every text: a second time changes nothing, and all comments are there.
fn tidy(text: &str) -> String {
    let once = format(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    let twice = format(&once).unwrap_or_else(|e| panic!("{e}, the second time:\n{once}"));
    assert_eq!(once, twice, "formatting twice is not formatting once");
    once
}

#[test]
fn an_untidy_file_gets_the_one_layout() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lang/format/untidy.expected");
    let tidied = tidy(UNTIDY);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &tidied).expect("the expected text can be written");
    }
    assert_eq!(tidied, std::fs::read_to_string(path).unwrap_or_default());
}

#[test]
fn a_file_in_good_shape_stays_as_it_is_but_for_blanks_before_comments() {
    let squeeze = |text: &str| {
        let line = |line: &str| match line.split_once(" #") {
            Some((code, comment)) if !code.trim().is_empty() => format!("{}  #{comment}", code.trim_end()),
            _ => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
    };
    for (name, text) in SAMPLES {
        let tidied = tidy(text);
        // the other samples have lines of more than 100 columns
        if ["abandoned_cart", "policies", "welcome"].contains(&name) {
            assert_eq!(tidied, squeeze(text), "{name}");
        }
    }
}

#[test]
fn forms_of_all_kinds_survive() {
    tidy(FORMS);
}

#[test]
fn unreadable_lines_are_copied_and_the_rest_is_formatted() {
    for text in BROKEN {
        tidy(text);
    }
    let text = "journey a {\n send   email x\n   sned  email   y  # why\n  wait   2 days\n}\n";
    assert_eq!(tidy(text), "journey a {\n  send email x\n  sned  email   y  # why\n  wait 2 days\n}\n");
}

#[test]
fn line_ends_marks_and_tabs_become_plain() {
    let text = "\u{feff}journey a {\r\n\tpurpose\tmarketing\r\n\r\n\r\n\r\n  exit as b # c\r\n}\r\n";
    assert_eq!(tidy(text), "journey a {\n  purpose marketing\n\n  exit as b  # c\n}\n");
    assert_eq!(tidy(""), "");
    assert_eq!(tidy("\n\n"), "");
    assert_eq!(tidy("# only this"), "# only this\n");
}

#[test]
fn damaged_samples_are_formatted_and_nothing_in_them_changes() {
    for text in SAMPLES.iter().map(|s| s.1).chain(BROKEN) {
        for at in (0..text.len()).step_by(37).filter(|at| text.is_char_boundary(*at)) {
            let next = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            for copy in [text[..at].to_owned(), format!("{}{}", &text[..at], &text[next..])] {
                match format(&copy) {
                    Ok(once) => assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "of:\n{copy}"),
                    Err(e) => panic!("{e}:\n{copy}"),
                }
            }
        }
    }
}

const SHOP: [&str; 5] = [
    include_str!("../journeys/schema.journey"),
    include_str!("../journeys/policies.journey"),
    include_str!("../journeys/journeys/abandoned_cart.journey"),
    include_str!("../journeys/journeys/monthly_news.journey"),
    include_str!("../journeys/journeys/welcome.journey"),
];

/// The comments of a text, in order.
fn comments(text: &str) -> Vec<String> {
    parse(FileId(0), text).0.comments.into_iter().map(|c| c.text).collect()
}

#[test]
fn a_comment_behind_and_above_every_line_is_kept() {
    let texts = SAMPLES.iter().map(|s| s.1).chain(SHOP).chain([FORMS, UNTIDY]).chain(BROKEN);
    for text in texts {
        let behind = |(n, line): (usize, &str)| match line.contains('#') {
            true => line.to_owned(),
            false => format!("{line}  # behind {n}"),
        };
        let above = |(n, line): (usize, &str)| format!("# above {n}\n{line}");
        let all: [Vec<String>; 2] =
            [text.lines().enumerate().map(behind).collect(), text.lines().enumerate().map(above).collect()];
        for commented in all {
            let commented = commented.join("\n");
            assert_eq!(comments(&commented), comments(&tidy(&commented)), "{commented}");
        }
        // one alone, since comments next to each other could hide what happens to it
        let lines: Vec<&str> = text.lines().collect();
        for at in (0..lines.len()).step_by(5) {
            let mut commented: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            commented[at] = above((at, &behind((at, lines[at]))));
            let commented = commented.join("\n");
            assert_eq!(comments(&commented), comments(&tidy(&commented)), "{commented}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Comments wherever an author may put one: at line ends and on lines of their own.
    #[test]
    fn comments_survive_wherever_they_stand(sample in 0..SAMPLES.len(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..12)) {
        let mut lines: Vec<String> = SAMPLES[sample].1.lines().map(str::to_owned).collect();
        for (n, (index, own_line)) in places.iter().enumerate() {
            let at = index.index(lines.len());
            if *own_line {
                lines.insert(at, format!("   # own {n}"));
            } else if !lines[at].contains('#') {
                lines[at].push_str(&format!("  # behind {n}"));
            }
        }
        let text = lines.join("\n");
        let comments = |text: &str| parse(FileId(0), text).0.comments.into_iter().map(|c| c.text).collect::<Vec<_>>();
        let tidied = tidy(&text);
        prop_assert_eq!(comments(&text), comments(&tidied));
    }

    /// Line ends and blanks wherever the language allows them.
    #[test]
    fn layout_does_not_matter(sample in 0..SAMPLES.len(), places in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..20)) {
        let (text, wanted) = (SAMPLES[sample].1, tidy(SAMPLES[sample].1));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (index, change) in places {
            let at = index.index(lines.len());
            match change {
                0 => lines[at].insert_str(0, "    "),
                1 => lines[at].push_str("   "),
                _ if !lines[at].contains('"') && !lines[at].contains('#') => lines[at] = lines[at].replace(' ', "  "),
                _ => {}
            }
        }
        prop_assert_eq!(tidy(&lines.join("\n")), wanted);
    }
}
