//! What people have answered to surveys, by whichever door: for the pages and the summary.

use std::collections::BTreeMap;

use super::Stage;
use crate::store::surveys::{self, Line};
use crate::store::{Result, journeys};
use crate::value::Value;

/// The answers that a demo can have to one survey.
const MOST: u32 = 100_000;
/// The doors, and how people call them.
const WAYS: [(&str, &str); 3] = [("page", "by mail"), ("text", "by text message"), ("phone", "on the phone")];

/// What came of a survey.
pub(super) struct Answered {
    pub survey: String,
    pub title: String,
    /// Newest first.
    pub lines: Vec<Line>,
    /// Numbers on average, in tenths.
    averages: Vec<(String, i64)>,
}

/// All surveys that were answered.
pub(super) async fn read(stage: &Stage) -> Result<Vec<Answered>> {
    let mut conn = stage.store.read().await?;
    let catalog = journeys::deployed(&mut conn).await?.catalog.clone();
    let mut all = Vec::new();
    for (name, survey) in &catalog.surveys {
        let lines = surveys::of_survey(&mut conn, name, None, MOST).await?.unwrap_or_default();
        if lines.is_empty() {
            continue;
        }
        let questions = survey.questions.iter().map(|question| &question.field.name);
        let averages = questions.filter_map(|name| Some((name.to_string(), average(&lines, name)?)));
        let (averages, survey, title) = (averages.collect(), name.to_string(), survey.title.to_string());
        all.push(Answered { survey, title, lines, averages });
    }
    Ok(all)
}

/// The average of the numbers that were answered to a question, in tenths.
fn average(lines: &[Line], question: &str) -> Option<i64> {
    let numbers = lines.iter().filter_map(|line| match line.fields.get(question) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    });
    let (sum, count) = numbers.fold((0, 0), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| (sum * 10 + count / 2) / count)
}

impl Answered {
    /// How many answers came by which door, and the averages.
    pub(super) fn in_words(&self) -> String {
        let mut counts = BTreeMap::new();
        self.lines.iter().for_each(|line| *counts.entry(line.way.as_str()).or_insert(0) += 1);
        let door = |(way, words): &(&str, &str)| counts.get(way).map(|count| format!("{count} {words}"));
        let doors: Vec<String> = WAYS.iter().filter_map(door).collect();
        let noun = if self.lines.len() == 1 { "answer" } else { "answers" };
        let mut text = format!("{} {noun} ({})", self.lines.len(), doors.join(", "));
        let tenths = |(name, tenths): &(String, i64)| format!("{name} {}.{}", tenths / 10, tenths % 10);
        let averages: Vec<String> = self.averages.iter().map(tenths).collect();
        if !averages.is_empty() {
            text += &format!("; on average {}", averages.join(", "));
        }
        text
    }
}

/// How people call the door by which an answer came.
pub(super) fn door(line: &Line) -> &str {
    WAYS.iter().find(|(way, _)| *way == line.way).map_or(line.way.as_str(), |(_, words)| words)
}
