//! `fahrplan explain CODE`: what a finding means, why it matters, an example, and what to write instead.

use super::{Exit, ExplainArgs, Failure, Outcome, print};
use crate::diagnostic::{Code, explain, suggest};

/// Prints the explanation of a code or of its name.
pub fn run(args: &ExplainArgs) -> Outcome {
    let wanted = args.code.trim();
    let code = Code::parse(wanted).or_else(|| Code::by_name(&wanted.to_lowercase()));
    match code {
        Some(code) => print(&explain::explain(code)).map(|()| Exit::Fine),
        None => Err(unknown(wanted)),
    }
}

fn unknown(wanted: &str) -> Failure {
    // `E01` and the like name a group: its codes are what one wants to see.
    let upper = wanted.to_uppercase();
    let near: Vec<&str> = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| upper.len() >= 3 && code.starts_with(&upper) || same_number(code, &upper))
        .take(12)
        .collect();
    let failure = |question: &str| Failure::usage(format!("there is no code `{wanted}`{question}"));
    match near.as_slice() {
        [] => {
            let names = Code::ALL.iter().flat_map(|code| [code.name(), code.as_str()]);
            failure(&suggest::question(wanted, names)).help("`fahrplan check` shows the code of each finding")
        }
        [one] => failure(&format!(", did you mean `{one}`?")),
        many => failure("").help(format!("there are {}", many.join(", "))),
    }
}

/// `W0101` for `E0101`: the number is right, the letter is not.
fn same_number(code: &str, wanted: &str) -> bool {
    wanted.is_char_boundary(1) && wanted.len() == 5 && code[1..] == wanted[1..]
}
