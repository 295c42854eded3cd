//! Characters that only look right: what each is taken for, and how it is written here.

pub(super) const BOM: char = '\u{feff}';

pub(super) fn code_point(c: char) -> String {
    format!("U+{:04X}", c as u32)
}

pub(super) fn is_double_quote(c: char) -> bool {
    matches!(c, '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '＂')
}

pub(super) fn is_single_quote(c: char) -> bool {
    matches!(c, '‘' | '’' | '‚' | '‛' | '′' | '‹' | '›')
}

pub(super) fn is_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}' || c == '\u{3164}'
}

pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | BOM | '\u{180e}' | '\u{fe00}'..='\u{fe0f}')
        && !matches!(c, '\u{fe0f}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

pub(super) fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The Latin letter that a Cyrillic, Greek or full-width one is taken for.
pub(super) fn look_alike(c: char) -> Option<char> {
    if let '\u{ff10}'..='\u{ff5a}' = c {
        return char::from_u32(c as u32 - 0xfee0).filter(char::is_ascii_alphanumeric);
    }
    let pairs = "аaеeоoрpсcуyхxіiјjѕsһhԁdԛqԝwԍgɡgАAВBЕEКKМMНHОOРPСCТTХXІIЈJЅSοoνvαaιiρpκkΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧX";
    let mut chars = pairs.chars();
    while let (Some(like), Some(latin)) = (chars.next(), chars.next()) {
        if like == c {
            return Some(latin);
        }
    }
    None
}

/// How a letter with a mark is written without it.
pub(super) fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ä' | 'æ' => "ae",
        'ö' | 'œ' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        'Ä' | 'Æ' => "Ae",
        'Ö' | 'Œ' => "Oe",
        'Ü' => "Ue",
        'à'..='ã' | 'å' => "a",
        'è'..='ë' => "e",
        'ì'..='ï' => "i",
        'ò'..='õ' | 'ø' => "o",
        'ù'..='û' => "u",
        'ç' | 'č' | 'ć' => "c",
        'ñ' | 'ń' => "n",
        'š' | 'ś' => "s",
        'ž' | 'ź' | 'ż' => "z",
        'ý' | 'ÿ' => "y",
        'ł' => "l",
        'À'..='Ã' | 'Å' => "A",
        'È'..='Ë' => "E",
        _ => return None,
    })
}
