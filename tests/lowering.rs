//! What a journey becomes: steps, where they go on, and their identities.

use fahrplan::diagnostic::{Sources, render_all};
use fahrplan::engine::program::{Catalog, Doubt, MomentKind, Program, StepKind, ZoneRef};
use fahrplan::lang::{self, Compilation, Input};

const SCHEMA: &str = r#"
contact { email: email?, phone: phone?, plan: one of [free, pro] = free, wake: time? , renews: date?, tags: list of text }
event signed_up { source: text }
event order_placed { order_id: id, cart_id: id?, value: decimal }
event order_canceled { order_id: id }
channel email { sends "smtp", address contact.email, class message, abilities [clicks] }
channel sms { sends "secret:sms", address contact.phone, class message }
team desk { hours monday to friday 09:00 to 18:00 project time }
task ring { outcomes [reached, voicemail] }
endpoint voucher.issue { method "POST", url "secret:v", timeout 10 seconds, retries 3, returns { code: text } }
"#;

fn compile(journey: &str) -> (Sources, Compilation) {
    let mut input = Input::default();
    input.sources.add("schema.journey".into(), SCHEMA.into());
    let head = "purpose transactional because \"a test\"\nreenter never\nlasts up to 90 days\n";
    let text = journey.replacen("{\n", &format!("{{\n{head}"), 1);
    input.sources.add("journeys/j.journey".into(), text);
    for name in ["a", "b", "c"] {
        for (part, text) in [("email.en.subject", "s"), ("email.en.html", "<p>x</p>"), ("sms.en.txt", "x")] {
            let path = format!("{name}/{part}.hbs");
            let file = input.sources.add(format!("templates/{path}"), text.into());
            input.templates.insert(path, file);
        }
    }
    let compilation = lang::compile(&input);
    (input.sources, compilation)
}

fn program(journey: &str) -> Program {
    let (sources, mut compilation) = compile(journey);
    assert_eq!(compilation.programs.len(), 1, "{}", told(&sources, &compilation));
    compilation.programs.remove(0)
}

fn told(sources: &Sources, compilation: &Compilation) -> String {
    render_all(sources, &compilation.diagnostics, fahrplan::diagnostic::Look::PLAIN)
}

/// One line a step: its identity and where it goes on.
fn listing(program: &Program) -> String {
    let line = |(number, step): (usize, &fahrplan::engine::program::Step)| {
        let targets: Vec<String> = step.kind.targets().iter().map(ToString::to_string).collect();
        let end = match &step.kind {
            StepKind::Exit { reason } => format!("exit {reason}"),
            StepKind::Resume => "resume".to_owned(),
            _ => targets.join(" "),
        };
        format!("{number} {} -> {end}\n", step.id)
    };
    program.steps.iter().enumerate().map(line).collect()
}

#[test]
fn blocks_become_steps_in_the_order_of_the_text() {
    let program = program(
        r#"journey j {
  enter on signed_up as signup
  send email a as first
  if signup.source is "web" {
    wait 1 day
  } else if signup.source is "shop" {
    wait 2 days
    exit as shop
  } else {
    send email b as second
  }
  wait 1 day
  exit as done
}"#,
    );
    assert_eq!(
        listing(&program),
        "\
0 first -> 1
1 first/if -> 2 3
2 first/wait 1 day -> 7
3 first/if#2 -> 4 6
4 first/wait 2 days -> 5
5 first/exit shop -> exit shop
6 second -> 7
7 first/wait 1 day#2 -> 8
8 first/exit done -> exit done
"
    );
}

#[test]
fn a_loop_starts_tests_goes_round_and_asks_until_after_each_round() {
    let program = program(
        r#"journey j {
  enter on signed_up
  repeat up to 3 times as round until lull.missed {
    wait up to 2 hours for order_placed as lull
  }
  send email a as note
  exit as done
}"#,
    );
    assert_eq!(
        listing(&program),
        "\
0 round -> 1
1 round/round -> 2 4
2 lull -> 3 3
3 round/until -> 4 1
4 note -> 5
5 note/exit done -> exit done
"
    );
    assert!(matches!(program.steps[1].kind, StepKind::LoopNext { times: 3, body: 2, done: 4, .. }));
    assert_eq!((program.loops, program.steps[2].loops.as_slice()), (1, &[0][..]));
}

#[test]
fn stages_fall_through_and_go_to_leads_to_their_first_step() {
    let program = program(
        r#"journey j {
  enter on signed_up
  stage mail {
    send email a as one
    wait up to 1 day for one.clicked as look
    if look.happened {
      go to thanks
    }
  }
  stage phone {
    call ring by desk up to 2 days as talk
    switch talk.outcome {
      case reached { exit as reached }
      case voicemail, expired { go to mail }
    }
  }
  stage thanks {
    exit as thanked
  }
}"#,
    );
    assert_eq!(
        listing(&program),
        "\
0 one -> 1
1 look -> 2 2
2 look/if -> 6 3
3 talk -> 4
4 talk/switch -> 5 0 6
5 talk/exit reached -> exit reached
6 thanks/exit thanked -> exit thanked
"
    );
}

#[test]
fn a_race_has_an_arm_for_each_block_and_its_time_out() {
    let program = program(
        r#"journey j {
  enter on signed_up
  send email a as hello
  wait up to 3 days as look {
    when hello.clicked, order_placed as hit {
      exit as interested
    }
    when (contact.plan is pro) {
      exit as pro
    }
    on timeout {
      send email b as reminder
    }
  }
  exit as done
}"#,
    );
    let StepKind::WaitEvent(wait) = &program.steps[1].kind else { panic!("a race: {:?}", program.steps[1]) };
    assert_eq!((wait.arms.len(), wait.arms[0].next, wait.arms[1].next, wait.timeout), (2, 2, 3, 4));
    assert_eq!(program.steps[4].kind.targets(), [5]);
}

#[test]
fn a_request_that_failed_takes_its_else_and_a_past_anchor_skips_its_block() {
    let program = program(
        r#"journey j {
  enter on signed_up where contact.renews is known
  request voucher.issue as v else {
    exit as no_voucher
  }
  wait until 2 days before contact.renews at 10:00 as d2 {
    send email a as note
  }
  wait until 09:30 project time
  exit as done
}"#,
    );
    assert!(matches!(program.steps[0].kind, StepKind::Request { next: 2, failed: 1, .. }));
    let StepKind::WaitUntil { moment, next: 3, past: 4 } = &program.steps[2].kind else {
        panic!("{}", listing(&program))
    };
    assert_eq!(moment.zone, ZoneRef::Contact);
    let MomentKind::Anchor { offset, follows, .. } = &moment.kind else { panic!("{moment:?}") };
    assert_eq!((offset.days, follows.as_deref()), (-2, Some("renews")));
    assert_eq!(&*program.steps[4].id, "d2/wait until 09:30");
}

#[test]
fn handlers_stand_behind_the_main_line() {
    let program = program(
        r#"journey j {
  enter on signed_up
  on order_canceled as gone {
    send email b as sorry
    resume
  }
  send email a as hello
  wait 3 days
  exit as done
}"#,
    );
    assert_eq!(
        listing(&program),
        "\
0 hello -> 1
1 hello/wait 3 days -> 2
2 hello/exit done -> exit done
3 sorry -> 4
4 sorry/resume -> resume
"
    );
    assert_eq!(program.handlers[0].first, 3);
}

#[test]
fn comments_and_layout_are_no_part_of_a_version() {
    let plain = r#"journey j {
  enter on signed_up
  wait 1 day as rest
  exit as done
}"#;
    let noisy = "# about it\n## documented\njourney j {\n\n  enter on signed_up # who\n    wait 1 day\n    as rest\n\n\n  exit as done\n}\n";
    assert_eq!(program(plain).hash(), program(noisy).hash());
    assert_ne!(program(plain).hash(), program(&plain.replace("1 day", "2 days")).hash());
    let (_, a) = compile(plain);
    let (_, b) = compile(noisy);
    assert_eq!(a.catalog.hash(), b.catalog.hash());
}

/// Squeezed, stretched and commented, the shop is the same shop; so it is after `fmt`.
#[test]
fn the_shop_keeps_its_versions_whatever_its_layout() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys");
    let project =
        fahrplan::cli::load::Project::at(root).map_err(|failure| failure.message).expect("the shop");
    let versions = |change: &dyn Fn(&str) -> String| {
        let mut input = Input { sources: Sources::new(), ..project.input.clone() };
        for (_, path, text) in project.input.sources.iter() {
            let text = if path.ends_with(".journey") { change(text) } else { text.to_owned() };
            input.sources.add(path.to_owned(), text);
        }
        let compilation = lang::compile(&input);
        assert!(compilation.programs.len() > 6, "{}", told(&input.sources, &compilation));
        let mut all = vec![compilation.catalog.hash()];
        all.extend(compilation.programs.iter().map(Program::hash));
        all
    };
    let written = versions(&str::to_owned);
    let noisy = |text: &str| {
        let lines = text.lines().map(|line| match line.contains('"') {
            true => format!("{line}   # noise\n"),
            false => format!("\t{}\n\n# noise\n", line.trim().replace(' ', "  ")),
        });
        lines.collect::<String>()
    };
    let formatted = |text: &str| lang::format::format(&noisy(text)).expect("it can be formatted");
    assert_eq!(written, versions(&noisy));
    assert_eq!(written, versions(&formatted));
}

#[test]
fn programs_and_catalogs_come_back_from_their_bytes() {
    let (_, compilation) = compile(
        "journey j {\n  enter on signed_up\n  send email else sms a with { when: today() } as one\n  exit as done\n}",
    );
    let program = compilation.programs[0].clone();
    assert_eq!(Program::from_bytes(&program.to_bytes()), Ok(program.clone()));
    let mut bytes = program.to_bytes();
    bytes[0] = 99;
    assert!(Program::from_bytes(&bytes).is_err(), "another format is refused");
    assert!(Program::from_bytes(&program.to_bytes()[..20]).is_err());
    let catalog = compilation.catalog;
    assert_eq!(Catalog::from_bytes(&catalog.to_bytes()), Ok(catalog.clone()));
    // As the versions before wrote it: without audiences, budgets, headers, surveys, and without rates and limits too.
    let bare = Catalog {
        surveys: Default::default(),
        policy: Default::default(),
        costs: Default::default(),
        headers: Default::default(),
        task_costs: Default::default(),
        ..catalog
    };
    let bytes = bare.to_bytes();
    for missing in [1, 2, 5, 6, 7, 9] {
        assert_eq!(Catalog::from_bytes(&bytes[..bytes.len() - missing]), Ok(bare.clone()), "{missing}");
    }
}

#[test]
fn what_becomes_of_messages_in_doubt_lies_in_the_catalog_by_step() {
    let body = "journey j {\n  enter on signed_up\n  send email a to contact.email otherwise \"ada@example.org\" in doubt hold as one\n  \
                send email b as two\n  send email c\n    in doubt retry\n  exit as done\n}";
    let (sources, compilation) = compile(body);
    assert_eq!(compilation.programs.len(), 1, "{}", told(&sources, &compilation));
    let program = &compilation.programs[0];
    let doubts = &compilation.catalog.doubts["j"];
    assert_eq!(doubts.values().collect::<Vec<_>>(), [&Doubt::Hold, &Doubt::Retry], "{doubts:?}");
    assert_eq!(doubts["one"], Doubt::Hold);
    assert!(doubts.keys().all(|step| program.steps.iter().any(|other| other.id == *step)), "{doubts:?}");
    let plain = compile(&body.replace(" in doubt hold", "").replace("\n    in doubt retry", "")).1;
    assert!(plain.catalog.doubts.is_empty());
    assert_eq!(plain.programs[0].hash(), program.hash(), "the journey is the same version");
    assert_eq!(compilation.catalog.doubt("j", "two", true), Doubt::Retry);
    assert_eq!(compilation.catalog.doubt("j", "two", false), Doubt::Hold);
}

#[test]
fn an_edit_elsewhere_changes_no_identity() {
    let before = r#"journey j {
  enter on signed_up as signup
  send email a as one
  if signup.source is "web" {
    wait 1 day
  }
  wait up to 2 days for order_placed
  wait 3 days
  exit as done
}"#;
    let after = before
        .replace("    wait 1 day\n", "    wait 1 day\n    send email b as two\n    wait 5 hours\n")
        .replace("  exit as done", "  send email c as three\n  exit as done");
    let ids = |program: &Program| program.steps.iter().map(|step| step.id.to_string()).collect::<Vec<_>>();
    let (before, after) = (ids(&program(before)), ids(&program(&after)));
    for id in before.iter().filter(|id| !id.contains("exit")) {
        assert!(after.contains(id), "{id} is gone from {after:?}");
    }
}

#[test]
fn only_messages_whose_results_somebody_wants_are_heard_of() {
    let program = program(
        r#"journey j {
  enter on signed_up as signup
  send email a as unread
  send email b as read
  send email c as awaited
  wait up to 1 day for awaited.clicked as click
  if read.skipped {
    exit as skipped
  }
  exit as done
}"#,
    );
    let heard = &program.tables().heard;
    let heard_of = |name: &str| {
        let slot = program.slots.iter().position(|slot| &*slot.name == name);
        heard[slot.expect("the message has a slot")]
    };
    assert_eq!([heard_of("unread"), heard_of("read"), heard_of("awaited")], [false, true, true]);
}
