//! An appointment as a file that calendars read (RFC 5545).

use crate::time::{MINUTE, Timestamp, Zone};

/// An appointment.
pub(super) struct Appointment<'a> {
    /// The same for the same appointment, so that a second file moves it instead of adding one.
    pub id: &'a str,
    /// Whose calendar it comes from.
    pub domain: &'a str,
    pub at: Timestamp,
    /// When the file is made.
    pub made_at: Timestamp,
    pub title: &'a str,
    pub place: Option<&'a str>,
    pub text: &'a str,
}

/// How long an appointment is thought to take.
const TAKES: i64 = 30 * MINUTE;

impl Appointment<'_> {
    /// The text of the file.
    pub(super) fn to_text(&self) -> String {
        let mut lines = vec![
            "BEGIN:VCALENDAR".to_owned(),
            "VERSION:2.0".to_owned(),
            "PRODID:-//Fahrplan//Tasks//EN".to_owned(),
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}@{}", self.id, escaped(self.domain)),
            format!("DTSTAMP:{}", moment(self.made_at)),
            format!("DTSTART:{}", moment(self.at)),
            format!("DTEND:{}", moment(self.at.plus_ms(TAKES))),
            format!("SUMMARY:{}", escaped(self.title)),
        ];
        if let Some(place) = self.place {
            lines.push(format!("LOCATION:{}", escaped(place)));
        }
        if !self.text.is_empty() {
            lines.push(format!("DESCRIPTION:{}", escaped(self.text)));
        }
        lines.extend(["END:VEVENT".to_owned(), "END:VCALENDAR".to_owned()]);
        lines.iter().map(|line| folded(line)).collect()
    }
}

/// In UTC, to the second.
fn moment(at: Timestamp) -> String {
    let (date, time) = Zone::utc().local(at);
    let day = date.to_string().replace('-', "");
    format!("{day}T{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A line of at most 75 bytes, and the rest of it on lines that begin with a blank.
fn folded(line: &str) -> String {
    let (mut out, mut width) = (String::with_capacity(line.len() + 2), 0);
    for c in line.chars() {
        if width + c.len_utf8() > 75 {
            out.push_str("\r\n ");
            width = 1;
        }
        out.push(c);
        width += c.len_utf8();
    }
    out + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appointment_is_escaped_and_folded() {
        let text = Appointment {
            id: "tk_1",
            domain: "shop.example",
            at: "2026-12-24T10:00:00+01:00".parse().expect("a moment"),
            made_at: Timestamp(0),
            title: "Call: Ada; Łukasz, both\r\nBEGIN:VEVENT",
            place: Some("Hauptstraße 1, Berlin"),
            text: &"ä".repeat(60),
        }
        .to_text();
        assert!(text.contains("\r\nDTSTART:20261224T090000Z\r\nDTEND:20261224T093000Z\r\n"), "{text}");
        assert!(text.contains("SUMMARY:Call: Ada\\; Łukasz\\, both\\nBEGIN:VEVENT\r\n"), "{text}");
        assert!(text.contains("UID:tk_1@shop.example\r\nDTSTAMP:19700101T000000Z\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        assert_eq!(text.replace("\r\n ", "").matches('ä').count(), 60, "{text}");
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 2);
        assert_eq!(text.lines().filter(|line| *line == "BEGIN:VEVENT").count(), 1);
    }
}
