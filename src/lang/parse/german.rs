//! German words for the words of the language. Nothing is read in German; whoever writes it is told the English word.

/// Each German word, in small letters and without marks, with the words of the language that it may mean.
const WORDS: &[(&[&str], &[&str])] = &[
    // what begins a line
    (&["warte", "warten", "abwarten"], &["wait"]),
    (&["wenn", "falls"], &["if", "when"]),
    (&["sonst", "ansonsten", "andernfalls"], &["else"]),
    (&["zweck"], &["purpose"]),
    (&["sende", "senden", "schicke", "schicken", "verschicke", "versende"], &["send"]),
    (&["frage", "fragen", "befrage"], &["ask"]),
    (&["rufe", "anrufen", "anruf"], &["call"]),
    (&["beauftrage", "zuweisen"], &["assign"]),
    (&["beende", "beenden", "ende", "ausstieg"], &["exit as"]),
    (&["setze", "setzen"], &["set"]),
    (&["fuege"], &["add"]),
    (&["entferne", "entfernen"], &["remove"]),
    (&["wiederhole", "wiederholen"], &["repeat up to"]),
    (&["pausiere"], &["pause"]),
    (&["fortsetzen", "weiter"], &["resume"]),
    (&["gehe", "springe"], &["go to"]),
    (&["nimm", "nehme"], &["take"]),
    (&["fordere", "anfrage"], &["request"]),
    (&["merke", "speichere"], &["record", "let"]),
    (&["teile", "aufteilen", "verteile"], &["split"]),
    (&["variante"], &["variant"]),
    (&["unterscheide"], &["switch"]),
    (&["fall"], &["case"]),
    (&["starte"], &["start journey"]),
    (&["erteile", "gewaehre"], &["grant"]),
    (&["widerrufe"], &["withdraw"]),
    (&["eintritt", "beginne", "beginn", "einstieg"], &["enter on"]),
    (&["wiedereintritt"], &["reenter"]),
    (&["dauert", "dauer"], &["lasts up to"]),
    (&["laeuft"], &["runs"]),
    (&["stufe", "etappe"], &["stage"]),
    (&["gegeben", "gegeben_sei"], &["given"]),
    (&["erwarte", "erwartet"], &["expect"]),
    // what begins a declaration
    (&["reise", "strecke"], &["journey"]),
    (&["ereignis"], &["event"]),
    (&["kontakt", "kunde"], &["contact"]),
    (&["kanal"], &["channel"]),
    (&["aufgabe"], &["task"]),
    (&["umfrage"], &["survey"]),
    (&["vorlage"], &["template"]),
    (&["richtlinie", "regeln"], &["policy"]),
    (&["zielgruppe"], &["audience"]),
    (&["endpunkt", "schnittstelle"], &["endpoint"]),
    (&["vorrat"], &["pool"]),
    (&["gruppe", "mannschaft"], &["team"]),
    (&["einwilligung", "zustimmung"], &["consent"]),
    (&["ruhezeit", "ruhezeiten"], &["quiet hours"]),
    (&["hoechstens", "obergrenze"], &["cap", "up to"]),
    (&["rang", "vorrang"], &["priority"]),
    (&["ziel"], &["goal", "target"]),
    // what goes on with a line
    (&["mit"], &["with"]),
    (&["fuer"], &["for"]),
    (&["als"], &["as"]),
    (&["auf"], &["on", "for"]),
    (&["an"], &["to", "on"]),
    (&["bei"], &["on", "at"]),
    (&["um"], &["at"]),
    (&["bis"], &["until", "to", "up to"]),
    (&["nach"], &["after", "to"]),
    (&["vor"], &["before"]),
    (&["von", "aus", "ab"], &["from", "of"]),
    (&["durch", "per", "ueber"], &["by"]),
    (&["wo", "wobei"], &["where"]),
    (&["weil", "wegen"], &["because"]),
    (&["dann"], &["then"]),
    (&["zwischen"], &["between"]),
    (&["innerhalb", "binnen"], &["within"]),
    (&["seit"], &["since"]),
    (&["waehrend", "solange"], &["while"]),
    (&["jeden", "jede", "jedes"], &["every"]),
    (&["pro", "je"], &["per"]),
    (&["unter"], &["under"]),
    (&["und"], &["and"]),
    (&["oder"], &["or"]),
    (&["nicht"], &["not"]),
    (&["ist"], &["is"]),
    (&["hat", "enthaelt"], &["has"]),
    (&["nie", "niemals"], &["never"]),
    (&["immer"], &["always"]),
    (&["beendet", "fertig"], &["finished"]),
    (&["mal"], &["times"]),
    (&["zeitablauf"], &["timeout"]),
    (&["ueberspringen", "auslassen"], &["skip"]),
    (&["bekannt"], &["known"]),
    (&["unbekannt"], &["unknown"]),
    (&["leer"], &["empty"]),
    // days
    (&["montag", "montags"], &["monday"]),
    (&["dienstag", "dienstags"], &["tuesday"]),
    (&["mittwoch", "mittwochs"], &["wednesday"]),
    (&["donnerstag", "donnerstags"], &["thursday"]),
    (&["freitag", "freitags"], &["friday"]),
    (&["samstag", "samstags", "sonnabend"], &["saturday"]),
    (&["sonntag", "sonntags"], &["sunday"]),
    (&["werktag", "wochentag"], &["weekday"]),
    (&["wochenende"], &["weekend"]),
];

/// The words of the language that a German word may mean, the likeliest first; none for any other word.
pub(super) fn meant(word: &str) -> &'static [&'static str] {
    let word =
        word.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss");
    let found = WORDS.iter().find(|(words, _)| words.contains(&word.as_str()));
    found.map_or(&[], |(_, ours)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_in_capitals_and_with_its_marks_and_stands_in_one_row() {
        assert_eq!(meant("Für"), ["for"]);
        assert_eq!(meant("WARTE"), ["wait"]);
        assert!(meant("wait").is_empty());
        let mut all: Vec<&str> = WORDS.iter().flat_map(|(words, _)| words.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
