//! The scanner on small sources, one line for each rule.

use super::*;

fn plain(source: &str) -> Scan {
    scan(source, Format::Plain)
}

/// All uses as `path@text[known]`, the text being what stands in the source.
fn uses(source: &str) -> Vec<String> {
    let scan = plain(source);
    assert_eq!(scan.mistakes, [], "{source}");
    let shown = |used: &Use| format!("{}@{}[{}]", used.dotted(), &source[used.start..used.end], used.known);
    scan.uses.iter().map(shown).collect()
}

fn mistakes_in(source: &str, format: Format) -> Vec<String> {
    let scan = scan(source, format);
    scan.mistakes.iter().map(|m| format!("{}|{}", &source[m.start..m.end], m.message)).collect()
}

#[test]
fn variables_are_found_at_their_place_and_counted_from_the_top() {
    for (source, expected) in [
        ("", vec![]),
        ("no braces { at } all", vec![]),
        ("Hi {{name}}!", vec!["name@name[0]"]),
        ("{{~ contact.first_name ~}}", vec!["contact.first_name@contact.first_name[0]"]),
        ("{{this.code}}", vec!["code@this.code[0]"]),
        ("{{ ./code }}", vec!["code@./code[0]"]),
        ("{{money total \"EUR\"}}", vec!["total@total[0]"]),
        ("{{money (lookup prices 0) \"EUR\"}}", vec!["prices@prices[0]"]),
        (
            "{{items.[0].name}} {{items.1.name}}",
            vec!["items[].name@items.[0].name[0]", "items[].name@items.1.name[0]"],
        ),
        ("{{!-- {{ghost}} --}}{{! ghost }}{{real}}", vec!["real@real[0]"]),
        (
            "{{#each items}}{{name}}{{this.qty}}{{../total}}{{@index}}{{/each}}",
            vec!["items@items[1]", "items[].name@name[2]", "items[].qty@this.qty[2]", "total@../total[0]"],
        ),
        ("{{#each tags}}{{this}}{{#if @last}}.{{/if}}{{/each}}", vec!["tags@tags[1]", "tags[]@this[2]"]),
        (
            "{{#with order}}{{id}}{{#each lines}}{{sku}}{{../id}}{{../../code}}{{/each}}{{/with}}",
            vec![
                "order@order[1]",
                "order.id@id[1]",
                "order.lines@lines[2]",
                "order.lines[].sku@sku[3]",
                "order.id@../id[1]",
                "code@../../code[0]",
            ],
        ),
    ] {
        assert_eq!(uses(source), expected, "{source}");
    }
}

#[test]
fn what_is_known_to_be_there_is_known() {
    for (source, expected) in [
        ("{{#if a}}{{a}}{{else}}{{a}}{{/if}}{{a}}", vec!["a@a[1]", "a@a[1]", "a@a[0]", "a@a[0]"]),
        ("{{#unless a}}{{a}}{{else}}{{a}}{{/unless}}", vec!["a@a[1]", "a@a[0]", "a@a[1]"]),
        ("{{default a \"x\"}}{{default \"x\" a}}", vec!["a@a[1]", "a@a[0]"]),
        (
            "{{#if c.address}}{{c.address.city}}{{c.name}}{{/if}}",
            vec!["c.address@c.address[2]", "c.address.city@c.address.city[2]", "c.name@c.name[0]"],
        ),
        (
            "{{#if a}}{{#if b}}{{a}}{{b}}{{/if}}{{b}}{{/if}}",
            vec!["a@a[1]", "b@b[1]", "a@a[1]", "b@b[1]", "b@b[0]"],
        ),
        (
            "{{#if a}}x{{else if b}}{{a}}{{b}}{{else}}{{b}}{{/if}}",
            vec!["a@a[1]", "b@b[1]", "a@a[0]", "b@b[1]", "b@b[0]"],
        ),
        (
            "{{#each l}}{{#if n}}{{n}}{{/if}}{{n}}{{/each}}",
            vec!["l@l[1]", "l[].n@n[3]", "l[].n@n[3]", "l[].n@n[2]"],
        ),
        ("{{#if a}}{{#each l}}{{../a}}{{/each}}{{/if}}", vec!["a@a[1]", "l@l[1]", "a@../a[1]"]),
        ("{{#with a}}{{b}}{{else}}{{a}}{{/with}}", vec!["a@a[1]", "a.b@b[1]", "a@a[0]"]),
    ] {
        assert_eq!(uses(source), expected, "{source}");
    }
    assert!(plain("{{#if a}}{{a}}{{/if}}").uses.iter().all(Use::is_guarded));
    assert!(!plain("{{a}}").uses[0].is_guarded());
}

#[test]
fn roles_helpers_and_outputs_are_told_apart() {
    let source = "{{#if a}}{{b}}{{/if}}{{date c}}{{#each d}}{{plural (lookup e 0) \"x\" \"y\"}}{{/each}}";
    let scan = plain(source);
    let roles: Vec<&Role> = scan.uses.iter().map(|used| &used.role).collect();
    assert_eq!(
        roles,
        [
            &Role::Condition,
            &Role::Shown,
            &Role::Argument("date", 0),
            &Role::Each,
            &Role::Argument("lookup", 0)
        ]
    );
    let helpers: Vec<&str> = scan.helpers.iter().map(|helper| &source[helper.start..helper.end]).collect();
    assert_eq!(helpers, ["if", "date", "each", "plural", "lookup"]);
    let outputs: Vec<&str> = scan.outputs.iter().map(|output| &source[output.start..output.end]).collect();
    assert_eq!(outputs, ["b", "date c", "plural (lookup e 0) \"x\" \"y\""]);
}

#[test]
fn a_part_is_scanned_in_the_scope_of_its_place() {
    let source = "{{#each items}}{{> line}}{{/each}}{{>footer}}";
    let scan = plain(source);
    let parts: Vec<(&str, &str)> =
        scan.parts.iter().map(|part| (part.name.as_str(), &source[part.tag_start..part.tag_end])).collect();
    assert_eq!(parts, [("line", "{{> line}}"), ("footer", "{{>footer}}")]);
    let line = scan_in("{{name}} {{../total}} {{@first}}", Format::Plain, &scan.parts[0].scope);
    assert_eq!(line.mistakes, []);
    let paths: Vec<String> = line.uses.iter().map(Use::dotted).collect();
    assert_eq!(paths, ["items[].name", "total"]);
    let footer = scan_in("{{@first}}", Format::Plain, &scan.parts[1].scope);
    assert_eq!(footer.mistakes.len(), 1);
}

#[test]
fn every_mistake_is_found_once_at_its_place() {
    for (source, expected) in [
        ("{{{a}}}", "{{{a}}}|values are never written unescaped"),
        ("{{& a}}", "{{& a}}|values are never written unescaped"),
        ("{{{{raw}}}}", "{{{{raw}}}}|raw blocks are not available"),
        ("a {{b\nc", "{{b|`{{` is not closed by `}}`"),
        ("a {{b {{c}}", "{{b {{c}}|`{{` is not closed by `}}`"),
        ("{{!-- a }}", "{{!|the comment is never closed"),
        ("{{}}", "{{}}|there is nothing between the braces"),
        ("{{ ~}}", "{{ ~}}|there is nothing between the braces"),
        ("{{#if a}}x", "{{#if a}}|`{{#if}}` is never closed"),
        ("x{{/if}}", "{{/if}}|`{{/if}}` closes nothing"),
        ("{{#if a}}{{#each b}}{{/if}}", "{{#each b}}|`{{#each}}` is not closed before `{{/if}}`"),
        ("{{else}}", "{{else}}|`{{else}}` stands in no block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "{{else}}|a second `{{else}}` in the same block"),
        ("{{#each a}}{{else if b}}{{/each}}", "{{else if b}}|this form of `else` is not available"),
        ("{{dat a}}", "dat|there is no helper `dat`"),
        ("{{log a}}", "log|there is no helper `log`"),
        ("{{#repeat a}}{{/repeat}}", "repeat|there is no helper `repeat`"),
        ("{{#date a}}{{/date}}", "date|`date` is no block"),
        ("{{if a}}", "if|`if` opens a block"),
        ("{{money a}}", "money a|`money` takes 2 values"),
        ("{{date a \"nice\"}}", "\"nice\"|dates have no form `nice`"),
        ("{{date}}", "date|`date` takes 1 or 2 values"),
        ("{{#each a as |b|}}{{/each}}", "as |b||names for elements are not available"),
        ("{{date a format=\"x\"}}", "format=\"x\"|values with names are not available"),
        ("{{../a}}", "../a|`../` leads out of the template"),
        ("{{@index}}", "@index|`@index` exists only inside `{{#each}}`"),
        ("{{@root.a}}", "@root.a|there are only `@index`, `@first` and `@last`"),
        ("{{a/b}}", "a/b|parts of a name are joined by `.`"),
        ("{{a..b}}", "a..b|this is no name"),
        ("{{default a “x”}}", "“|`“` is a typographic quote: write `\"`"),
        ("{{default a \"x”}}", "”|`”` is a typographic quote: write `\"`"),
        ("{{a ! b}}", "!|this character has no meaning here"),
        ("{{\"text\"}}", "{{\"text\"}}|this writes a fixed text"),
        ("{{default a \"x}}", "{{default a \"x}}|`{{` is not closed by `}}`"),
        ("{{date (lookup a 0}}", "(|`(` is not closed"),
        ("{{> a b}}", "{{> a b}}|this names no part"),
        ("{{#> a}}{{/a}}", "{{#> a}}|inline parts are not available"),
        ("\\{{a}}", "\\|a backslash before braces is not available"),
        ("{{^}}", "{{^}}|`^` is not available"),
        ("{{* a}}", "{{* a}}|decorators are not available"),
    ] {
        let found = mistakes_in(source, Format::Plain);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{source}: {found:?}");
        assert_eq!(found.len(), 1, "{source}: {found:?}");
    }
}

#[test]
fn the_place_in_the_html_is_known() {
    for (source, expected) in [
        ("<p>{{a}}</p>", Place::Text),
        ("<!-- {{a}} -->", Place::Text),
        ("<!--[if mso]><b>{{a}}</b><![endif]-->", Place::Text),
        ("<!doctype html><html>{{a}}", Place::Text),
        ("a < b {{a}}", Place::Text),
        ("<img alt=\"{{a}}\">", Place::Attribute),
        ("<img alt = '{{a}}'>", Place::Attribute),
        ("<a HREF=\"{{a}}\">x</a>", Place::LinkStart),
        ("<a title='x' href=\" {{a}}\">x</a>", Place::LinkStart),
        ("<a href=\"https://x/{{a}}\">x</a>", Place::LinkPath),
        ("<a href=\"{{brand.url}}/{{a}}\">x</a>", Place::LinkPath),
        ("<a href=\"https://x/?c={{a}}\">x</a>", Place::LinkQuery),
        ("<a href=\"https://x/#{{a}}\">x</a>", Place::LinkQuery),
        ("<a href=\"{{#if b}}https://x{{/if}}{{a}}\">x</a>", Place::LinkStart),
        ("<a href=\"https://x/?{{#if b}}c{{else}}d{{/if}}={{a}}\">x</a>", Place::LinkQuery),
        ("<p style=\"color:{{brand.color}}\">", Place::Style),
        ("<style>p { color: {{brand.color}} }</style>", Place::Style),
        ("<script src='x'></script><p>{{a}}", Place::Text),
        ("<svg><a xlink:href=\"{{a}}\"></a></svg>", Place::LinkStart),
    ] {
        let scan = scan(source, Format::Html);
        assert_eq!(scan.mistakes, [], "{source}");
        assert_eq!(scan.outputs.last().unwrap().place, expected, "{source}");
    }
    assert_eq!(plain("<a href=\"{{a}}\">").outputs[0].place, Place::Plain);
}

#[test]
fn values_are_refused_where_no_escaping_helps() {
    for (source, expected) in [
        ("<img alt={{a}}>", "a|this value stands in an attribute without quotes"),
        ("<img alt=x{{a}}>", "a|this value stands in an attribute without quotes"),
        ("<{{a}}>", "a|no value may stand for the name of a tag or attribute"),
        ("<p {{a}}>", "a|no value may stand for the name of a tag or attribute"),
        ("<p style=\"color:{{a}}\">", "a|only `brand` values may stand in a style"),
        ("<style>{{a}}</style>", "a|only `brand` values may stand in a style"),
        ("<p onclick=\"{{a}}\">", "a|no value may stand in a script"),
        ("<script>{{a}}</script>", "a|no value may stand in a script"),
        ("<img srcset=\"{{a}} 2x\">", "a|no value may stand in a script"),
        (
            "<p>{{#if a}}<b {{/if}}>",
            "{{#if a}}|the branches of this block end in different places of the HTML",
        ),
        (
            "{{#if a}}<b title=\"{{else}}<b title='{{/if}}x",
            "{{#if a}}|the branches of this block end in different places of the HTML",
        ),
        ("<p title=\"{{> part}}\">", "{{> part}}|a part can stand only between HTML elements"),
        ("<p title=\"x", "|the HTML ends inside a tag or a comment"),
    ] {
        assert_eq!(mistakes_in(source, Format::Html), [expected], "{source}");
    }
    let fine = "<p {{#if a}}class=\"x\"{{else}}class=\"y\"{{/if}}>{{#if a}}<b>{{else}}<i>{{/if}}</p>";
    assert_eq!(mistakes_in(fine, Format::Html), [""; 0]);
}

#[test]
fn the_length_of_the_text_is_counted_without_its_ends() {
    assert_eq!(plain("  Grüße, {{name}}!\n").literal_chars, 8);
    assert!(plain(" \n ").is_blank());
    assert!(!plain("{{name}}").is_blank());
}

#[test]
fn any_cut_of_a_template_is_scanned_without_panic() {
    let source = "<a href=\"{{brand.url}}?x={{~#if (lookup a.b 0)}}{{date d \"ü\"}}{{else if c}}{{> p}}{{/if}}\">{{!-- ä --}}{{{x}}}\
        {{#each items}}{{@index}}{{../y}}{{/each}}</a><style>ß</style>";
    let places: Vec<usize> = source.char_indices().map(|(at, _)| at).collect();
    for (n, &start) in places.iter().enumerate() {
        for &end in &places[n..] {
            scan(&source[start..end], Format::Html);
        }
    }
}
