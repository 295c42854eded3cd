//! The arguments with which somebody is put into a journey by hand.

use serde_json::Value as Json;

use super::{Rejected, check_text, clip};
use crate::diagnostic::suggest::question;
use crate::engine::program::{EntryHow, Program};
use crate::engine::world::Fields;
use crate::value;

/// Reads the arguments with which a journey is started by hand, against its `enter by start`.
pub fn read_arguments(program: &Program, json: &Json) -> Result<Fields, Rejected> {
    let starts = program.entries.iter().find_map(|entry| match &entry.how {
        EntryHow::Start { arguments } => Some(arguments),
        _ => None,
    });
    let Some(arguments) = starts else {
        let reason =
            format!("nobody can be put into `{}` by hand: it has no `enter by start`", program.journey);
        return Err(Rejected::new("no-start", reason));
    };
    if let Json::Object(given) = json {
        let declared = || arguments.iter().map(|field| &*field.name);
        if let Some(name) = given.keys().find(|name| declared().all(|known| known != name.as_str())) {
            let reason = format!(
                "`{}` takes no argument `{}`{}",
                program.journey,
                clip(name),
                question(name, declared())
            );
            return Err(Rejected::new("unknown-argument", reason));
        }
    }
    let none = Json::Null;
    let mut fields = Fields::new();
    for field in arguments {
        let json = json.get(&*field.name).unwrap_or(&none);
        let value = value::from_json(&field.ty, json).map_err(|misfit| {
            Rejected::new("wrong-type", format!("argument `{}`: {}", field.name, misfit.message))
        })?;
        check_text(&value)
            .map_err(|reason| Rejected::new("bad-text", format!("argument `{}`: {reason}", field.name)))?;
        fields.insert(field.name.clone(), value);
    }
    Ok(fields)
}
