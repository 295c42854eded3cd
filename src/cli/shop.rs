//! The shop of `journeys/`, compiled in: what `demo` plays, wherever the program stands alone.

use std::path::{Path, PathBuf};

use super::Failure;

/// Puts the project into a folder below that one and gives its place.
pub(crate) fn unpack(below: &Path) -> Result<PathBuf, Failure> {
    let root = below.join("journeys");
    for (name, text) in FILES {
        let path = root.join(name);
        let fails = |error: std::io::Error| Failure::world(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(&root)).map_err(fails)?;
        std::fs::write(&path, text).map_err(fails)?;
    }
    Ok(root)
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/journeys/", $name)))),*]
    };
}

/// Every file of the project by its path below `journeys/`; a test holds the list to the folder.
const FILES: &[(&str, &str)] = files![
    "calls/after_sales.de.md",
    "calls/after_sales.en.md",
    "calls/complaint.de.md",
    "calls/complaint.en.md",
    "calls/escalation.de.md",
    "calls/escalation.en.md",
    "calls/goodwill.de.md",
    "calls/goodwill.en.md",
    "calls/reply.de.md",
    "calls/reply.en.md",
    "calls/win_back.de.md",
    "calls/win_back.en.md",
    "fahrplan.toml",
    "holidays.csv",
    "journeys/abandoned_cart.journey",
    "journeys/after_sales.journey",
    "journeys/birthday.journey",
    "journeys/complaint_care.journey",
    "journeys/fan_portfolio.journey",
    "journeys/friends.journey",
    "journeys/goodwill.journey",
    "journeys/monthly_news.journey",
    "journeys/replies.journey",
    "journeys/tasting.journey",
    "journeys/welcome.journey",
    "journeys/win_back.journey",
    "policies.journey",
    "samples/contacts.csv",
    "samples/events.jsonl",
    "schema.journey",
    "templates/_parts/footer_marketing_de.hbs",
    "templates/_parts/footer_marketing_en.hbs",
    "templates/_parts/footer_service_de.hbs",
    "templates/_parts/footer_service_en.hbs",
    "templates/_parts/head.hbs",
    "templates/_parts/header.hbs",
    "templates/_parts/imprint_de.hbs",
    "templates/_parts/imprint_en.hbs",
    "templates/_parts/news_de.hbs",
    "templates/_parts/news_en.hbs",
    "templates/birthday_card/email.de.html.hbs",
    "templates/birthday_card/email.de.preheader.hbs",
    "templates/birthday_card/email.de.subject.hbs",
    "templates/birthday_card/email.en.html.hbs",
    "templates/birthday_card/email.en.preheader.hbs",
    "templates/birthday_card/email.en.subject.hbs",
    "templates/birthday_last_days/email.de.html.hbs",
    "templates/birthday_last_days/email.de.preheader.hbs",
    "templates/birthday_last_days/email.de.subject.hbs",
    "templates/birthday_last_days/email.en.html.hbs",
    "templates/birthday_last_days/email.en.preheader.hbs",
    "templates/birthday_last_days/email.en.subject.hbs",
    "templates/birthday_present/email.de.html.hbs",
    "templates/birthday_present/email.de.preheader.hbs",
    "templates/birthday_present/email.de.subject.hbs",
    "templates/birthday_present/email.en.html.hbs",
    "templates/birthday_present/email.en.preheader.hbs",
    "templates/birthday_present/email.en.subject.hbs",
    "templates/cart_last_call/email.de.html.hbs",
    "templates/cart_last_call/email.de.preheader.hbs",
    "templates/cart_last_call/email.de.subject.hbs",
    "templates/cart_last_call/email.en.html.hbs",
    "templates/cart_last_call/email.en.preheader.hbs",
    "templates/cart_last_call/email.en.subject.hbs",
    "templates/cart_reminder/email.de.html.hbs",
    "templates/cart_reminder/email.de.preheader.hbs",
    "templates/cart_reminder/email.de.subject.hbs",
    "templates/cart_reminder/email.en.html.hbs",
    "templates/cart_reminder/email.en.preheader.hbs",
    "templates/cart_reminder/email.en.subject.hbs",
    "templates/come_back/letter.de.subject.hbs",
    "templates/come_back/letter.de.text.hbs",
    "templates/come_back/letter.en.subject.hbs",
    "templates/come_back/letter.en.text.hbs",
    "templates/complaint_ack/email.de.html.hbs",
    "templates/complaint_ack/email.de.preheader.hbs",
    "templates/complaint_ack/email.de.subject.hbs",
    "templates/complaint_ack/email.en.html.hbs",
    "templates/complaint_ack/email.en.preheader.hbs",
    "templates/complaint_ack/email.en.subject.hbs",
    "templates/complaint_ack/sms.de.text.hbs",
    "templates/complaint_ack/sms.en.text.hbs",
    "templates/complaint_understood/email.de.html.hbs",
    "templates/complaint_understood/email.de.preheader.hbs",
    "templates/complaint_understood/email.de.subject.hbs",
    "templates/complaint_understood/email.en.html.hbs",
    "templates/complaint_understood/email.en.preheader.hbs",
    "templates/complaint_understood/email.en.subject.hbs",
    "templates/complaint_understood/sms.de.text.hbs",
    "templates/complaint_understood/sms.en.text.hbs",
    "templates/confirm_optin/email.de.html.hbs",
    "templates/confirm_optin/email.de.preheader.hbs",
    "templates/confirm_optin/email.de.subject.hbs",
    "templates/confirm_optin/email.en.html.hbs",
    "templates/confirm_optin/email.en.preheader.hbs",
    "templates/confirm_optin/email.en.subject.hbs",
    "templates/confirm_reminder/email.de.html.hbs",
    "templates/confirm_reminder/email.de.preheader.hbs",
    "templates/confirm_reminder/email.de.subject.hbs",
    "templates/confirm_reminder/email.en.html.hbs",
    "templates/confirm_reminder/email.en.preheader.hbs",
    "templates/confirm_reminder/email.en.subject.hbs",
    "templates/csat/email.de.html.hbs",
    "templates/csat/email.de.preheader.hbs",
    "templates/csat/email.de.subject.hbs",
    "templates/csat/email.en.html.hbs",
    "templates/csat/email.en.preheader.hbs",
    "templates/csat/email.en.subject.hbs",
    "templates/csat/sms.de.text.hbs",
    "templates/csat/sms.en.text.hbs",
    "templates/fan_scan/email.de.html.hbs",
    "templates/fan_scan/email.de.preheader.hbs",
    "templates/fan_scan/email.de.subject.hbs",
    "templates/fan_scan/email.en.html.hbs",
    "templates/fan_scan/email.en.preheader.hbs",
    "templates/fan_scan/email.en.subject.hbs",
    "templates/first_steps/email.de.html.hbs",
    "templates/first_steps/email.de.preheader.hbs",
    "templates/first_steps/email.de.subject.hbs",
    "templates/first_steps/email.en.html.hbs",
    "templates/first_steps/email.en.preheader.hbs",
    "templates/first_steps/email.en.subject.hbs",
    "templates/friends_code/email.de.html.hbs",
    "templates/friends_code/email.de.preheader.hbs",
    "templates/friends_code/email.de.subject.hbs",
    "templates/friends_code/email.en.html.hbs",
    "templates/friends_code/email.en.preheader.hbs",
    "templates/friends_code/email.en.subject.hbs",
    "templates/friends_later/email.de.html.hbs",
    "templates/friends_later/email.de.preheader.hbs",
    "templates/friends_later/email.de.subject.hbs",
    "templates/friends_later/email.en.html.hbs",
    "templates/friends_later/email.en.preheader.hbs",
    "templates/friends_later/email.en.subject.hbs",
    "templates/friends_thanks/email.de.html.hbs",
    "templates/friends_thanks/email.de.preheader.hbs",
    "templates/friends_thanks/email.de.subject.hbs",
    "templates/friends_thanks/email.en.html.hbs",
    "templates/friends_thanks/email.en.preheader.hbs",
    "templates/friends_thanks/email.en.subject.hbs",
    "templates/goodwill_note/email.de.html.hbs",
    "templates/goodwill_note/email.de.preheader.hbs",
    "templates/goodwill_note/email.de.subject.hbs",
    "templates/goodwill_note/email.en.html.hbs",
    "templates/goodwill_note/email.en.preheader.hbs",
    "templates/goodwill_note/email.en.subject.hbs",
    "templates/goodwill_note/sms.de.text.hbs",
    "templates/goodwill_note/sms.en.text.hbs",
    "templates/how_is_it/email.de.html.hbs",
    "templates/how_is_it/email.de.preheader.hbs",
    "templates/how_is_it/email.de.subject.hbs",
    "templates/how_is_it/email.en.html.hbs",
    "templates/how_is_it/email.en.preheader.hbs",
    "templates/how_is_it/email.en.subject.hbs",
    "templates/idea_thanks/email.de.html.hbs",
    "templates/idea_thanks/email.de.preheader.hbs",
    "templates/idea_thanks/email.de.subject.hbs",
    "templates/idea_thanks/email.en.html.hbs",
    "templates/idea_thanks/email.en.preheader.hbs",
    "templates/idea_thanks/email.en.subject.hbs",
    "templates/long_time_no_see/email.de.html.hbs",
    "templates/long_time_no_see/email.de.preheader.hbs",
    "templates/long_time_no_see/email.de.subject.hbs",
    "templates/long_time_no_see/email.en.html.hbs",
    "templates/long_time_no_see/email.en.preheader.hbs",
    "templates/long_time_no_see/email.en.subject.hbs",
    "templates/news_beans/email.de.html.hbs",
    "templates/news_beans/email.de.preheader.hbs",
    "templates/news_beans/email.de.subject.hbs",
    "templates/news_beans/email.en.html.hbs",
    "templates/news_beans/email.en.preheader.hbs",
    "templates/news_beans/email.en.subject.hbs",
    "templates/news_people/email.de.html.hbs",
    "templates/news_people/email.de.preheader.hbs",
    "templates/news_people/email.de.subject.hbs",
    "templates/news_people/email.en.html.hbs",
    "templates/news_people/email.en.preheader.hbs",
    "templates/news_people/email.en.subject.hbs",
    "templates/tasting_invitation/email.de.html.hbs",
    "templates/tasting_invitation/email.de.preheader.hbs",
    "templates/tasting_invitation/email.de.subject.hbs",
    "templates/tasting_invitation/email.en.html.hbs",
    "templates/tasting_invitation/email.en.preheader.hbs",
    "templates/tasting_invitation/email.en.subject.hbs",
    "templates/tasting_seat/email.de.html.hbs",
    "templates/tasting_seat/email.de.preheader.hbs",
    "templates/tasting_seat/email.de.subject.hbs",
    "templates/tasting_seat/email.en.html.hbs",
    "templates/tasting_seat/email.en.preheader.hbs",
    "templates/tasting_seat/email.en.subject.hbs",
    "templates/tasting_tomorrow/email.de.html.hbs",
    "templates/tasting_tomorrow/email.de.preheader.hbs",
    "templates/tasting_tomorrow/email.de.subject.hbs",
    "templates/tasting_tomorrow/email.en.html.hbs",
    "templates/tasting_tomorrow/email.en.preheader.hbs",
    "templates/tasting_tomorrow/email.en.subject.hbs",
    "templates/tasting_waiting/email.de.html.hbs",
    "templates/tasting_waiting/email.de.preheader.hbs",
    "templates/tasting_waiting/email.de.subject.hbs",
    "templates/tasting_waiting/email.en.html.hbs",
    "templates/tasting_waiting/email.en.preheader.hbs",
    "templates/tasting_waiting/email.en.subject.hbs",
    "templates/welcome_offer/email.de.html.hbs",
    "templates/welcome_offer/email.de.preheader.hbs",
    "templates/welcome_offer/email.de.subject.hbs",
    "templates/welcome_offer/email.en.html.hbs",
    "templates/welcome_offer/email.en.preheader.hbs",
    "templates/welcome_offer/email.en.subject.hbs",
    "templates/welcome_story/email.de.html.hbs",
    "templates/welcome_story/email.de.preheader.hbs",
    "templates/welcome_story/email.de.subject.hbs",
    "templates/welcome_story/email.en.html.hbs",
    "templates/welcome_story/email.en.preheader.hbs",
    "templates/welcome_story/email.en.subject.hbs",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("journeys is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_shop_is_compiled_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|name| !name.ends_with(".py") && !name.ends_with("README.md") && !name.contains(".db"));
        found.sort();
        let mut listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(listed, found);
    }
}
