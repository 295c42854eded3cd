//! Which languages are tried for a contact, in order.

use std::collections::BTreeMap;

/// The project's language and its fallbacks, as `fahrplan.toml` says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LocaleChain {
    /// The language of a contact whose own is unknown or nowhere written.
    pub project: String,
    /// `de-AT` gives `de`, `en`.
    pub fallbacks: BTreeMap<String, Vec<String>>,
}

impl LocaleChain {
    /// The languages to try: the contact's own, its fallbacks, its language without the country, then the project's
    /// and its fallbacks. None twice.
    pub fn candidates<'a>(&'a self, locale: Option<&'a str>) -> Vec<&'a str> {
        let mut found = Vec::new();
        let mut add = |locale: &'a str| {
            if !locale.is_empty() && !found.contains(&locale) {
                found.push(locale);
            }
        };
        let language = |locale: &'a str| locale.split_once('-').map(|(language, _)| language);
        for locale in locale.into_iter().chain([self.project.as_str()]) {
            add(locale);
            for fallback in self.fallbacks.get(locale).into_iter().flatten() {
                add(fallback);
            }
            if let Some(language) = language(locale) {
                add(language);
            }
        }
        found
    }

    /// The first candidate that `has` says yes to.
    pub fn choose<'a>(&'a self, locale: Option<&'a str>, has: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.candidates(locale).into_iter().find(|candidate| has(candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_language_first_then_fallbacks_then_the_projects() {
        let fallbacks = [("de-AT", vec!["de", "en"]), ("fr", vec!["en"])];
        let own =
            |(from, to): (&str, Vec<&str>)| (from.to_owned(), to.into_iter().map(str::to_owned).collect());
        let chain = LocaleChain { project: "de-DE".to_owned(), fallbacks: fallbacks.map(own).into() };
        assert_eq!(chain.candidates(Some("de-AT")), ["de-AT", "de", "en", "de-DE"]);
        assert_eq!(chain.candidates(Some("fr")), ["fr", "en", "de-DE", "de"]);
        assert_eq!(chain.candidates(Some("it-CH")), ["it-CH", "it", "de-DE", "de"]);
        assert_eq!(chain.candidates(None), ["de-DE", "de"]);
        assert_eq!(chain.choose(Some("it"), |locale| locale == "de"), Some("de"));
        assert_eq!(chain.choose(Some("it"), |_| false), None);
    }
}
