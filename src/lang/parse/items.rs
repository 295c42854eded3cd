//! Declarations and policies.

use fahrplan_grammar::Rule;

use super::exprs::{unit, weekday};
use super::steps::part_name;
use super::words::Place;
use super::{P, Reader, part, parts};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::lang::ast::{
    CapWindow, EventDecl, ExprDecl, Field, Hours, Item, ItemKind, Name, Prop, PropValue, PropsDecl,
    Rule as PolicyRule, RuleKind, Text, Then, Type, TypeKind,
};

/// More levels of `list of` than anybody needs.
const MAX_LISTS: usize = 8;

impl<'s> Reader<'s> {
    /// One item of a file; `next` is what follows it.
    pub(super) fn item(&mut self, p: &P<'s>, next: Option<&P<'s>>) -> Item {
        let kind = self.item_kind(p);
        let span = self.span(p);
        let kind = kind.unwrap_or_else(|| {
            self.unknown(p);
            ItemKind::Error
        });
        self.tell_unclosed(p, next);
        Item { kind, span, doc: self.doc(p.as_span().start()) }
    }

    fn item_kind(&mut self, p: &P<'s>) -> Option<ItemKind> {
        Some(match p.as_rule() {
            Rule::import => ItemKind::Import(self.title(p)?),
            Rule::contact => ItemKind::Contact(self.fields_in(p)),
            Rule::event => ItemKind::Event(self.event(p)?),
            Rule::subpurpose => ItemKind::Purpose {
                name: part_name(self, p)?,
                parent: part(p, Rule::n_purpose).map(|n| self.name(&n))?,
                title: self.title(p),
            },
            Rule::channel => ItemKind::Channel(self.props_decl(p)?),
            Rule::task => ItemKind::Task(self.props_decl(p)?),
            Rule::team => ItemKind::Team(self.props_decl(p)?),
            Rule::audience => ItemKind::Audience(self.props_decl(p)?),
            Rule::endpoint => ItemKind::Endpoint {
                path: part(p, Rule::n_endpoint).map(|n| self.path(&n))?,
                title: self.title(p),
                props: self.props_in(p),
            },
            Rule::segment => ItemKind::Segment(self.expr_decl(p)?),
            Rule::score => ItemKind::Score(self.expr_decl(p)?),
            Rule::survey => ItemKind::Survey {
                name: part_name(self, p)?,
                title: self.title(p),
                fields: self.fields_in(p),
            },
            Rule::pool => {
                ItemKind::Pool { name: part_name(self, p)?, title: self.title(p), fields: self.fields_in(p) }
            }
            Rule::template => ItemKind::Template {
                name: part(p, Rule::n_template).map(|n| self.path(&n))?,
                class: part(p, Rule::n_class).map(|n| self.name(&n))?,
                because: self.because(p),
            },
            Rule::policy => self.policy(p)?,
            Rule::journey => self.journey(p)?,
            Rule::test => self.test(p)?,
            _ => return None,
        })
    }

    fn title(&mut self, p: &P<'s>) -> Option<Text> {
        part(p, Rule::string).map(|t| self.string(&t))
    }

    fn expr_decl(&mut self, p: &P<'s>) -> Option<ExprDecl> {
        Some(ExprDecl { name: part_name(self, p)?, title: self.title(p), expr: self.inner_expr(p)? })
    }

    fn event(&mut self, p: &P<'s>) -> Option<EventDecl> {
        let mut made = EventDecl {
            name: part_name(self, p)?,
            title: self.title(p),
            aliases: Vec::new(),
            keep: None,
            late_after: None,
            fields: self.fields_in(p),
        };
        for c in parts(p) {
            match c.as_rule() {
                Rule::aliases => made.aliases.extend(parts(&c).map(|t| self.string(&t))),
                Rule::keep => {
                    if let Some(keep) = self.inner_duration(&c) {
                        self.once(&mut made.keep, keep, &c);
                    }
                }
                Rule::late => {
                    if let Some(late) = self.inner_duration(&c) {
                        self.once(&mut made.late_after, late, &c);
                    }
                }
                _ => {}
            }
        }
        Some(made)
    }

    // ------------------------------------------------------------ fields and types

    fn fields_in(&mut self, p: &P<'s>) -> Vec<Field> {
        part(p, Rule::fields).map(|f| self.fields(&f)).unwrap_or_default()
    }

    pub(super) fn fields(&mut self, p: &P<'s>) -> Vec<Field> {
        let mut fields = Vec::new();
        for (c, readable) in self.pair_list(p, Rule::one_field) {
            fields.extend(if readable { self.field(&c) } else { self.untyped_field(&c) });
        }
        fields
    }

    fn field(&mut self, p: &P<'s>) -> Option<Field> {
        Some(Field {
            name: part(p, Rule::field).map(|n| self.name(&n))?,
            ty: part(p, Rule::typ).map(|t| self.ty(&t))?,
            default: part(p, Rule::default).and_then(|d| self.inner_expr(&d)),
            modifiers: parts(p).filter(|c| c.as_rule() == Rule::modifier).map(|m| self.name(&m)).collect(),
            title: self.title(p),
            span: self.span(p),
        })
    }

    fn ty(&mut self, p: &P<'s>) -> Type {
        let span = self.span(p);
        let lists = parts(p).filter(|c| c.as_rule() == Rule::list_of).count();
        let optional = part(p, Rule::optional).is_some();
        let core = parts(p).find(|c| !matches!(c.as_rule(), Rule::list_of | Rule::optional));
        let mut kind = core.map_or(TypeKind::Error, |c| self.type_kind(p, &c));
        if lists > MAX_LISTS {
            let place = self.place_of(p);
            self.tell_lost(Diagnostic::new(Code::E0001, place, "this is a list of lists of too many lists"));
            return Type { kind: TypeKind::Error, optional, span };
        }
        // the `?` of `list of text?` belongs to the list
        for _ in 0..lists {
            kind = TypeKind::List(Box::new(Type { kind, optional: false, span }));
        }
        Type { kind, optional, span }
    }

    fn type_kind(&mut self, whole: &P<'s>, p: &P<'s>) -> TypeKind {
        match p.as_rule() {
            Rule::base => {
                let range = part(whole, Rule::range).and_then(|r| {
                    let mut bounds = parts(&r).map(|b| self.number(&b));
                    Some((bounds.next()?, bounds.next()?))
                });
                TypeKind::Base { name: p.as_str().to_owned(), range }
            }
            Rule::fields => TypeKind::Record(self.fields(p)),
            Rule::one_of => self.one_of(p),
            _ => {
                self.unknown_type(p);
                TypeKind::Error
            }
        }
    }

    fn one_of(&mut self, p: &P<'s>) -> TypeKind {
        if let Some(list) = part(p, Rule::enum_list) {
            self.commas_of(&list);
            let names = |c: &P<'s>| matches!(c.as_rule(), Rule::name | Rule::word_as_name);
            return TypeKind::OneOf(parts(&list).filter(names).map(|n| self.name(&n)).collect());
        }
        let Some(bare) = part(p, Rule::bare_enum) else { return TypeKind::Error };
        let place = self.place_of(&bare);
        self.tell_lost(
            Diagnostic::new(Code::E0001, place, "the values of `one of` stand in brackets")
                .label(format!("write `[{}]`", bare.as_str().trim()))
                .fix("add the brackets", place.shrink_to_start(), "[")
                .fix("", place.shrink_to_end(), "]"),
        );
        TypeKind::OneOf(parts(&bare).map(|n| self.name(&n)).collect())
    }

    fn unknown_type(&mut self, p: &P<'s>) {
        const TYPES: [&str; 15] = [
            "text", "number", "decimal", "percent", "yesno", "date", "time", "moment", "duration", "email",
            "phone", "timezone", "locale", "id", "address",
        ];
        let word = p.as_str();
        let meant = match word.to_lowercase().as_str() {
            "string" | "str" | "varchar" | "url" | "char" => Some("text"),
            "int" | "integer" | "int64" | "long" => Some("number"),
            "float" | "double" | "money" | "currency" | "price" => Some("decimal"),
            "bool" | "boolean" | "flag" => Some("yesno"),
            "datetime" | "timestamp" | "instant" => Some("moment"),
            "uuid" | "key" => Some("id"),
            "zone" | "tz" => Some("timezone"),
            "language" | "lang" => Some("locale"),
            _ => did_you_mean(word, TYPES),
        };
        let place = self.place_of(p);
        let mut finding = Diagnostic::new(Code::E0001, place, format!("`{word}` is not a type"));
        finding = match meant {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")).suggest(
                format!("write `{meant}`"),
                place,
                meant,
            ),
            None => finding
                .help(format!("the types are {}, `one of […]`, `list of …` and `{{ … }}`", ticked(&TYPES))),
        };
        self.tell_lost(finding);
    }

    // ------------------------------------------------------------ properties

    fn props_decl(&mut self, p: &P<'s>) -> Option<PropsDecl> {
        Some(PropsDecl { name: part_name(self, p)?, title: self.title(p), props: self.props_in(p) })
    }

    fn props_in(&mut self, p: &P<'s>) -> Vec<Prop> {
        let Some(props) = part(p, Rule::props) else { return Vec::new() };
        let mut made = Vec::new();
        for (c, readable) in self.pair_list(&props, Rule::one_prop) {
            if let Some(prop) = self.prop(&c).filter(|_| readable) {
                made.push(prop);
            }
        }
        made
    }

    fn prop(&mut self, p: &P<'s>) -> Option<Prop> {
        let name = part(p, Rule::field).map(|n| self.name(&n))?;
        let value = parts(p).find_map(|c| match c.as_rule() {
            Rule::fields => Some(PropValue::Fields(self.fields(&c))),
            Rule::hours => self.hours(&c).map(PropValue::Hours),
            Rule::expr => Some(PropValue::Expr(self.expr(&c))),
            _ => None,
        })?;
        Some(Prop { name, value, span: self.span(p) })
    }

    fn hours(&mut self, p: &P<'s>) -> Option<Hours> {
        let days: Vec<_> = parts(p)
            .filter(|c| c.as_rule() == Rule::weekday)
            .map(|d| (weekday(d.as_str()), self.span(&d)))
            .collect();
        let mut times = parts(p).filter(|c| c.as_rule() == Rule::time);
        let (from, to) = (times.next()?, times.next()?);
        Some(Hours {
            from_day: *days.first()?,
            to_day: days.get(1).copied(),
            from: self.clock(&from),
            to: self.clock(&to),
            zone: self.zone_in(p),
            span: self.span(p),
        })
    }

    // ------------------------------------------------------------ policies

    fn policy(&mut self, p: &P<'s>) -> Option<ItemKind> {
        let name = part_name(self, p)?;
        let mut rules = Vec::new();
        for line in self.list_lines(p) {
            let whole = self.list_line(&line, Place::Policy) && line.tail.is_none();
            let kind = self.rule(&line.p).filter(|_| whole).unwrap_or(RuleKind::Error);
            rules.push(PolicyRule { kind, span: self.span(&line.p) });
        }
        Some(ItemKind::Policy { name, rules })
    }

    fn rule(&mut self, p: &P<'s>) -> Option<RuleKind> {
        let purpose = part(p, Rule::n_purpose).map(|n| self.name(&n));
        let number = part(p, Rule::number).map(|n| self.number(&n));
        Some(match p.as_rule() {
            Rule::consent => RuleKind::Consent { purpose: purpose?, channels: self.on_chans(p) },
            Rule::quiet => {
                let mut times = parts(p).filter(|c| c.as_rule() == Rule::time);
                let (from, to) = (times.next()?, times.next()?);
                RuleKind::Quiet {
                    from: self.clock(&from),
                    to: self.clock(&to),
                    zone: self.zone_in(p),
                    purpose: purpose?,
                    channels: self.on_chans(p),
                    then: self.effect(p)?,
                }
            }
            Rule::cap => RuleKind::Cap {
                words: self.words(p),
                number: number?,
                window: self.cap_window(p)?,
                then: self.effect(p)?,
            },
            Rule::rate => RuleKind::Rate {
                words: self.words(p),
                number: number?,
                per: part(p, Rule::unit).map(|u| unit(u.as_str()))?,
            },
            Rule::max_audience => RuleKind::MaxAudience { number: number?, purpose: purpose? },
            Rule::priority => RuleKind::Priority(
                parts(p).filter(|c| c.as_rule() == Rule::n_journey).map(|n| self.name(&n)).collect(),
            ),
            Rule::holdout => RuleKind::Holdout {
                share: part(p, Rule::percent).map(|n| self.number(&n))?,
                purpose: purpose?,
            },
            _ => return None,
        })
    }

    /// The one or two names after `cap` or `rate`.
    fn words(&mut self, p: &P<'s>) -> Vec<Name> {
        let is_name = |c: &P<'s>| matches!(c.as_rule(), Rule::n_purpose | Rule::n_channel);
        parts(p).filter(is_name).map(|n| self.name(&n)).collect()
    }

    fn on_chans(&mut self, p: &P<'s>) -> Vec<Name> {
        part(p, Rule::on_chans).map(|c| parts(&c).map(|n| self.name(&n)).collect()).unwrap_or_default()
    }

    fn cap_window(&mut self, p: &P<'s>) -> Option<CapWindow> {
        if let Some(calendar) = part(p, Rule::calendar) {
            return part(&calendar, Rule::unit).map(|u| CapWindow::Calendar(unit(u.as_str())));
        }
        part(p, Rule::duration).map(|d| CapWindow::Rolling(self.duration(&d)))
    }

    pub(super) fn effect(&mut self, p: &P<'s>) -> Option<Then> {
        let effect = part(p, Rule::effect)?;
        effect.clone().into_inner().find_map(|c| match c.as_rule() {
            Rule::k_wait => Some(Then::Wait(self.inner_duration(&effect))),
            Rule::k_skip => Some(Then::Skip),
            Rule::k_exit => Some(Then::Exit),
            _ => None,
        })
    }
}

/// Words in backticks, with commas.
pub(super) fn ticked(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}
