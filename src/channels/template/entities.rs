//! Characters that HTML writes by name or number.

/// Names of characters that mails use. Others stay as written, which a reader can still guess.
const NAMED: [(&str, &str); 42] = [
    ("AElig", "Æ"),
    ("Auml", "Ä"),
    ("Eacute", "É"),
    ("Ouml", "Ö"),
    ("Uuml", "Ü"),
    ("aacute", "á"),
    ("agrave", "à"),
    ("amp", "&"),
    ("apos", "'"),
    ("auml", "ä"),
    ("bdquo", "„"),
    ("bull", "•"),
    ("ccedil", "ç"),
    ("copy", "©"),
    ("eacute", "é"),
    ("ecirc", "ê"),
    ("egrave", "è"),
    ("euro", "€"),
    ("gt", ">"),
    ("hellip", "…"),
    ("laquo", "«"),
    ("ldquo", "“"),
    ("lsaquo", "‹"),
    ("lsquo", "‘"),
    ("lt", "<"),
    ("mdash", "—"),
    ("middot", "·"),
    ("nbsp", "\u{a0}"),
    ("ndash", "–"),
    ("ntilde", "ñ"),
    ("ouml", "ö"),
    ("quot", "\""),
    ("raquo", "»"),
    ("rarr", "→"),
    ("rdquo", "”"),
    ("reg", "®"),
    ("rsaquo", "›"),
    ("rsquo", "’"),
    ("shy", ""),
    ("szlig", "ß"),
    ("times", "×"),
    ("uuml", "ü"),
];

/// Text with its entities read.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match after.split_once(';').and_then(|(name, tail)| Some((entity(name)?, tail))) {
            Some((character, tail)) => {
                out.push_str(&character);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<String> {
    let Some(number) = name.strip_prefix('#') else {
        let place = NAMED.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
        return Some(NAMED[place].1.to_owned());
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    // Invisible joiners and fillers that preheaders are padded with, and braces, which would begin a tag.
    match char::from_u32(code)? {
        '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}' => Some(String::new()),
        '{' | '}' => None,
        c => Some(c.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_found() {
        assert!(NAMED.is_sorted_by_key(|(name, _)| name));
        assert!(NAMED.iter().all(|(name, character)| entity(name).as_deref() == Some(*character)));
    }

    #[test]
    fn what_is_no_entity_stays() {
        for (text, expected) in [
            ("a &amp; b", "a & b"),
            ("&#252;&#xFC;", "üü"),
            ("&; &x &nope; &#xD800; &#99999999;", "&; &x &nope; &#xD800; &#99999999;"),
            ("&#123;&#123;x&#125;&#125;", "&#123;&#123;x&#125;&#125;"),
            ("&#8203;&#847;&shy;x", "x"),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }
}
