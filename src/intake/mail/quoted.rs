//! A text without what was quoted of ours: lines with `>`, the line above them, what mail programs put below a rule, signatures.
//!
//! There is no sure way. Nothing is cut in the middle of what somebody wrote: between quoted lines everything stays.

/// Lines under which everything is quoted.
const RULES: [&str; 9] = [
    "-----original message-----",
    "-----ursprüngliche nachricht-----",
    "-----message d'origine-----",
    "-----mensaje original-----",
    "---------- forwarded message ---------",
    "-------- original message --------",
    "-------- ursprüngliche nachricht --------",
    "----- original message -----",
    "________________________________",
];

/// How the line above a quotation begins and ends, in the languages of the mail programs that people have.
const SAID: [(&str, &str); 12] = [
    ("on ", "wrote:"),
    ("am ", "schrieb:"),
    ("am ", "geschrieben:"),
    ("le ", "a écrit :"),
    ("le ", "a écrit:"),
    ("el ", "escribió:"),
    ("il ", "ha scritto:"),
    ("op ", "schreef:"),
    ("den ", "skrev:"),
    ("em ", "escreveu:"),
    ("dnia ", "napisał:"),
    ("w dniu ", "pisze:"),
];

/// The heads that mail programs of offices put above the quotation.
const HEADS: [(&str, [&str; 2]); 4] = [
    ("from:", ["sent:", "date:"]),
    ("von:", ["gesendet:", "datum:"]),
    ("de :", ["envoyé :", "date :"]),
    ("de:", ["enviado:", "fecha:"]),
];

/// What telephones put below.
const SENT_FROM: [&str; 6] = [
    "sent from my ",
    "von meinem ",
    "gesendet von meinem ",
    "diese nachricht wurde von meinem ",
    "envoyé de mon ",
    "get outlook for ",
];

/// What is new in the text of an answer.
pub fn unquoted(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\u{a0}', " ");
    let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let rest = &lines[at..];
        if *line == "--" || is_rule(line) || is_head(rest) {
            break;
        }
        if let Some(long) = said(rest) {
            // Where lines are marked as quoted, those between them are new; elsewhere all below it is the quotation.
            if !rest[long..].iter().any(|line| is_quoted(line)) {
                break;
            }
            at += long;
            continue;
        }
        if !is_quoted(line) {
            kept.push(line);
        }
        at += 1;
    }
    while kept.last().is_some_and(|line| line.trim().is_empty() || is_of_telephone(line)) {
        kept.pop();
    }
    let mut new = String::new();
    let mut blank = true;
    for line in kept {
        let is_blank = line.trim().is_empty();
        if !(is_blank && blank) {
            new.push_str(line);
            new.push('\n');
        }
        blank = is_blank;
    }
    new.trim().to_owned()
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

fn is_rule(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    RULES
        .iter()
        .any(|rule| line == *rule || (rule.starts_with('_') && line.len() > 20 && line.starts_with(rule)))
}

fn is_of_telephone(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    line.len() < 80 && SENT_FROM.iter().any(|begin| line.starts_with(begin))
}

/// `From:` and, within the next lines, `Sent:`.
fn is_head(rest: &[&str]) -> bool {
    let begins =
        |line: &str, with: &str| line.trim_start_matches(['*', ' ']).to_lowercase().starts_with(with);
    let Some((first, next)) = rest.split_first() else { return false };
    HEADS.iter().any(|(from, sent)| {
        begins(first, from) && next.iter().take(4).any(|line| sent.iter().any(|sent| begins(line, sent)))
    })
}

/// How many lines say who wrote what follows: `On …, Ada wrote:`, on up to three.
fn said(rest: &[&str]) -> Option<usize> {
    (1..=rest.len().min(3)).find(|long| {
        let line = rest[..*long].join(" ");
        let line = line.trim().to_lowercase();
        line.len() < 400 && SAID.iter().any(|(begin, end)| line.starts_with(begin) && ends(&line, end))
    })
}

/// German puts the name behind the verb: `Am … schrieb Ada:`.
fn ends(line: &str, end: &str) -> bool {
    let verb = end.trim_end_matches(':').trim_end();
    line.ends_with(end)
        || (line.ends_with(':') && line.rfind(verb).is_some_and(|at| at > 8 && line.len() - at < 160))
}
