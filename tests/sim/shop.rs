//! What is deployed in a simulation: journeys compiled by the compiler, with templates.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fahrplan::diagnostic::{Look, Severity, render_all};
use fahrplan::engine::program::{Catalog, Program};
use fahrplan::lang::{self, Input};
use fahrplan::store::templates::Templates;

const JOURNEYS: &str = include_str!("shop.journey");

/// Templates, and what of them is marketing or takes a value.
const MAILS: [(&str, &str); 6] = [
    ("hello", "<p>Hello</p>"),
    ("receipt", "<p>Order {{order}}</p>"),
    ("sorry", "<p>Sorry</p>"),
    ("offer", "<p>Offer <a href=\"{{links.unsubscribe}}\">no more</a></p>"),
    ("offer_more", "<p>More <a href=\"{{links.unsubscribe}}\">no more</a></p>"),
    ("remind", "<p>Remember <a href=\"{{links.unsubscribe}}\">no more</a></p>"),
];

/// The template whose mails the relay refuses, always.
pub(crate) const REFUSED: &str = "sorry";

/// Journeys that are deployed together. Few at a time, so that a seed is short and looks closely.
pub(crate) const THEMES: [&[&str]; 4] = [
    &["welcome", "loyalty"],
    &["news", "reminder"],
    &["nightly", "care"],
    &["welcome", "news", "reminder", "loyalty", "care"],
];

/// Everything compiled.
pub(crate) struct Shop {
    pub(crate) catalog: Catalog,
    programs: Vec<Program>,
    pub(crate) templates: Templates,
}

impl Shop {
    /// The one that all simulations share.
    pub(crate) fn get() -> &'static Shop {
        static SHOP: OnceLock<Shop> = OnceLock::new();
        SHOP.get_or_init(Shop::compile)
    }

    fn compile() -> Shop {
        let mut input = Input::default();
        input.settings.zone = "Europe/Berlin".to_owned();
        input.settings.locale = "en".to_owned();
        input.sources.add("shop.journey".into(), JOURNEYS.into());
        let mut files = BTreeMap::new();
        for (name, html) in MAILS {
            for (part, text) in [("subject", name), ("html", html)] {
                let path = format!("{name}/email.en.{part}.hbs");
                let file = input.sources.add(format!("templates/{path}"), text.into());
                input.templates.insert(path.clone(), file);
                files.insert(path, text.to_owned());
            }
        }
        let compiled = lang::compile(&input);
        let wrong = compiled.diagnostics.iter().any(|d| d.severity() == Severity::Error);
        assert!(!wrong, "{}", render_all(&input.sources, &compiled.diagnostics, Look::PLAIN));
        let templates = Templates { files, locale: "en".to_owned(), ..Templates::default() };
        Shop { catalog: compiled.catalog, programs: compiled.programs, templates }
    }

    /// The journeys of a theme.
    pub(crate) fn programs(&self, theme: usize) -> Vec<Program> {
        let of_theme = |program: &&Program| THEMES[theme].contains(&&*program.journey);
        self.programs.iter().filter(of_theme).cloned().collect()
    }
}
