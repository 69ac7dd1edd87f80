//! Objects while they are being collected, and who has claimed which row of the catalogs.

mod companions;

use super::dependencies::Graph;
use crate::error::{Error, Result};
use crate::model::catalog::{Address, Description, Property, Value};
use crate::model::name::QualifiedName;
use crate::model::schema::{
    self, NotCarried, ObjectClass, Purpose, SchemaObject, Section, Statement,
};
use crate::pg::ident;
pub(super) use companions::reachable_through;
use companions::{Companion, NeededBy};
use std::collections::{BTreeSet, HashMap, HashSet};

/// One row of a system catalog. The OIDs of the catalogs themselves never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// The catalog's own OID, or one of the small numbers below for things without a row.
    pub catalog: u32,
    /// The row's OID.
    pub oid: u32,
}

macro_rules! catalogs {
    ($($function:ident $oid:literal,)*) => {
        impl Key {
            $(pub const fn $function(oid: u32) -> Self { Self { catalog: $oid, oid } })*
        }
    };
}

catalogs! {
    relation 1259, type_ 1247, function 1255, schema 2615, extension 3079, constraint 2606,
    default 2604, rule 2618, trigger 2620, default_privileges 826, policy 3256, statistics 3381,
    event_trigger 3466, wrapper 2328, server 1417, user_mapping 1418, publication 6104,
    publication_relation 6106, publication_schema 6237, subscription 6100, operator 2617,
    operator_class 2616, operator_family 2753, cast 2605, collation 3456, conversion 2607,
    language 2612, transform 3576, access_method 2601, text_search_configuration 3602,
    text_search_dictionary 3600, text_search_parser 3601, text_search_template 3764,
    // Statements that have no row of their own, under the OID of what they belong to.
    attach 1, sequence_owner 2, index_attach 3, view_data 4, table_setting 5, database 6,
    database_setting 7, row_security 8, shell_type 20, domain_default 21,
    late_storage 22,
}

/// The catalog of relations, where `objsubid` counts columns.
pub(super) const PG_CLASS: u32 = 1259;
/// The catalog of types.
pub(super) const PG_TYPE: u32 = 1247;
/// The catalog of routines.
pub(super) const PG_PROC: u32 = 1255;
/// The catalog of rules.
pub(super) const PG_REWRITE: u32 = 2618;
/// The catalog of collations.
pub(super) const PG_COLLATION: u32 = 3456;

/// An object with what it needs, before positions are known.
pub(super) struct Draft {
    object: SchemaObject,
    needs: Vec<Key>,
    needs_drafts: Vec<usize>,
}

impl Draft {
    pub fn new(class: ObjectClass, schema: Option<&str>, name: impl Into<String>) -> Self {
        let object = SchemaObject {
            class,
            schema: schema.map(str::to_owned),
            name: name.into(),
            part_of: None,
            owner: None,
            tablespace: None,
            section: Section::PreData,
            depends_on: Vec::new(),
            statements: Vec::new(),
            placeholder: None,
            access: None,
            descriptions: Vec::new(),
        };
        Self { object, needs: Vec::new(), needs_drafts: Vec::new() }
    }

    pub fn define(mut self, sql: impl Into<String>) -> Self {
        self.object.statements.push(Statement::define(sql));
        self
    }

    /// `target` as `ALTER … OWNER TO` names it: `TABLE "public"."t"`.
    pub fn owned_by(mut self, owner: &str, target: &str) -> Self {
        self.object.owner = Some(owner.to_owned());
        let sql = format!("ALTER {target} OWNER TO {}", ident::quote(owner));
        self.object.statements.push(Statement { purpose: Purpose::Owner, sql });
        self
    }

    /// `tablespace`: `None` is the database's own.
    pub fn in_tablespace(mut self, tablespace: Option<&str>) -> Self {
        self.object.tablespace = tablespace.map(str::to_owned);
        self
    }

    pub fn part_of(mut self, whole: QualifiedName) -> Self {
        self.object.part_of = Some(whole);
        self
    }

    pub fn after_data(mut self) -> Self {
        self.object.section = Section::PostData;
        self
    }

    pub fn needs(mut self, key: Key) -> Self {
        self.needs.push(key);
        self
    }

    pub fn placeholder(mut self, sql: String) -> Self {
        self.object.placeholder = Some(Statement::define(sql));
        self
    }

    pub fn object_mut(&mut self) -> &mut SchemaObject {
        &mut self.object
    }
}

/// Where a comment on a catalog row goes.
pub(super) struct Commentable {
    /// The draft that carries the comment.
    pub draft: usize,
    /// For a relation: the word before its name.
    kind: Option<&'static str>,
    /// The quoted relation, or what `COMMENT ON` names: `TYPE "public"."t"`.
    pub name: String,
}

impl Commentable {
    /// What `COMMENT ON` and `SECURITY LABEL ON` name: `TABLE "public"."t"`, or a column of it.
    pub fn target(&self, column: Option<&str>) -> String {
        match (self.kind, column) {
            (Some(_), Some(column)) => format!("COLUMN {}.{}", self.name, ident::quote(column)),
            (Some(kind), None) => format!("{kind} {}", self.name),
            (None, _) => self.name.clone(),
        }
    }
}

struct Claim {
    draft: usize,
    /// Whether what the row depends on is needed by the draft.
    counts: bool,
    /// Whether the row is what the draft is called after.
    named: bool,
}

/// Everything found so far.
#[derive(Default)]
pub(super) struct Collection {
    drafts: Vec<Draft>,
    claims: HashMap<Key, Claim>,
    commentable: HashMap<Key, Commentable>,
    /// Of rows that the name of their draft does not tell.
    addresses: HashMap<Key, Address>,
    left_out: HashSet<Key>,
    implied: HashSet<Key>,
    cuts: HashMap<(Key, Key), Option<Key>>,
    companions: Vec<Companion>,
    not_carried: BTreeSet<NotCarried>,
    notes: BTreeSet<NotCarried>,
}

impl Collection {
    /// Takes in an object that makes the row `key`.
    pub fn add(&mut self, key: Key, draft: Draft) -> Result<usize> {
        let index = self.add_without_row(draft);
        self.claim_as_named(key, index)?;
        Ok(index)
    }

    /// Takes in an object that no row of the catalogs stands for.
    pub fn add_without_row(&mut self, draft: Draft) -> usize {
        self.drafts.push(draft);
        self.drafts.len() - 1
    }

    /// The object `draft` also makes the row `key`, and needs what that row depends on.
    pub fn claim(&mut self, key: Key, draft: usize) -> Result<()> {
        self.enter(key, Claim { draft, counts: true, named: false })
    }

    /// The row `key` is the object `draft`, too: the index of a constraint, for instance.
    pub fn claim_as_named(&mut self, key: Key, draft: usize) -> Result<()> {
        self.enter(key, Claim { draft, counts: true, named: true })
    }

    /// The object `draft` makes the row `key`, but none of its statements spells it out (it
    /// comes from a parent), so what the row depends on is not needed.
    pub fn claim_implied(&mut self, key: Key, draft: usize) -> Result<()> {
        self.enter(key, Claim { draft, counts: false, named: false })
    }

    fn enter(&mut self, key: Key, claim: Claim) -> Result<()> {
        let object = &self.drafts[claim.draft].object;
        if let Some(first) = self.claims.get(&key) {
            return Err(Error::failed(format!(
                "the catalog row {key:?} is made by two objects, {} and {object}",
                self.drafts[first.draft].object
            ))
            .hint("this is a bug of pgark; please report it with the two definitions"));
        }
        self.claims.insert(key, claim);
        Ok(())
    }

    /// Takes in an object that `ALTER … OWNER TO` and `COMMENT ON` name as `target`; not all have
    /// owners. `definition` is what comparisons go by.
    pub fn add_named(
        &mut self,
        key: Key,
        draft: Draft,
        owner: Option<&str>,
        target: &str,
        definition: impl Into<Value>,
    ) -> Result<usize> {
        let draft = match owner {
            Some(owner) => draft.owned_by(owner, target),
            None => draft,
        };
        let index = self.add(key, draft)?;
        self.described(index).set(Property::Definition, definition);
        self.commentable(key, index, target);
        Ok(index)
    }

    /// The row `key` comes with something that has been accounted for: an extension, for
    /// instance, whose member it is not.
    pub fn imply(&mut self, key: Key) {
        self.implied.insert(key);
    }

    /// Where the row `from` needs `to`, it is content with `instead`, or with nothing: a cycle is
    /// cut there.
    pub fn cut(&mut self, from: Key, to: Key, instead: Option<Key>) {
        self.cuts.insert((from, to), instead);
    }

    /// What is written with expressions and needs `key` comes after `draft` too, if it can: the
    /// catalogs do not note which operator class a DISTINCT or GROUP BY has looked up.
    pub fn accompany(&mut self, key: Key, draft: usize) {
        self.companions.push(Companion { of: key, draft, needed_by: NeededBy::Expressions });
    }

    /// Whatever needs `key` comes after `draft` too, which adds `columns` to it if it is a table. What `draft` itself
    /// needs comes before, unless it reads one of them.
    pub fn complete(&mut self, key: Key, draft: usize, columns: Vec<i16>) {
        self.companions.push(Companion { of: key, draft, needed_by: NeededBy::All { columns } });
    }

    /// Comments on `key` are written with the object `draft`.
    pub fn commentable(&mut self, key: Key, draft: usize, target: impl Into<String>) {
        let entry = Commentable { draft, kind: None, name: target.into() };
        self.commentable.insert(key, entry);
    }

    /// Comments on the relation `key` and its columns are written with the object `draft`.
    pub fn commentable_relation(
        &mut self,
        key: Key,
        draft: usize,
        kind: &'static str,
        relation: &str,
    ) {
        let entry = Commentable { draft, kind: Some(kind), name: relation.to_owned() };
        self.commentable.insert(key, entry);
    }

    pub fn comment_target(&self, key: Key) -> Option<&Commentable> {
        self.commentable.get(&key)
    }

    /// The row `key` is the object `address`: comments and privileges on it are that object's.
    pub fn name_row(&mut self, key: Key, address: Address) {
        self.addresses.insert(key, address);
    }

    /// What the row `key` is, as comparisons name it.
    pub fn address(&self, key: Key) -> Option<Address> {
        let claim = self.claims.get(&key).filter(|claim| claim.named);
        let named = || claim.map(|claim| Address::of(self.object(claim.draft)));
        self.addresses.get(&key).cloned().or_else(named)
    }

    /// What the object `draft` says of itself.
    pub fn described(&mut self, draft: usize) -> &mut Description {
        let own = Address::of(self.object(draft));
        self.describe(draft, own)
    }

    /// What the object `draft` says of another one, or of one that it makes besides itself.
    pub fn describe(&mut self, draft: usize, of: Address) -> &mut Description {
        let all = &mut self.drafts[draft].object.descriptions;
        let found = all.iter().position(|description| description.of == of);
        let place = found.unwrap_or_else(|| {
            // Most objects are described by one alone.
            all.reserve_exact(1);
            all.push(Description::new(of));
            all.len() - 1
        });
        &mut all[place]
    }

    pub fn push(&mut self, draft: usize, statement: Statement) {
        self.drafts[draft].object.statements.push(statement);
    }

    /// The object `draft` comes after what makes `key`.
    pub fn add_need(&mut self, draft: usize, key: Key) {
        self.drafts[draft].needs.push(key);
    }

    /// The object `draft` comes after `other`, which no row of the catalogs stands for.
    pub fn add_need_of(&mut self, draft: usize, other: usize) {
        self.drafts[draft].needs_drafts.push(other);
    }

    /// Reports an object that is not carried; `key` is its row, where it has one.
    pub fn leave_out(&mut self, class: ObjectClass, key: Option<Key>, name: impl Into<String>) {
        self.leave_out_of(class, key, name, None, None);
    }

    /// Reports an object that is not carried, and that lies in `schema` or belongs to a relation.
    pub fn leave_out_of(
        &mut self,
        class: ObjectClass,
        key: Option<Key>,
        name: impl Into<String>,
        schema: Option<String>,
        table: Option<String>,
    ) {
        self.left_out.extend(key);
        self.not_carried.insert(NotCarried { class, name: name.into(), schema, table });
    }

    /// Reports something that is not carried, and that is or belongs to the relation `whole`.
    pub fn leave_out_on(
        &mut self,
        whole: &QualifiedName,
        class: ObjectClass,
        key: Option<Key>,
        name: impl Into<String>,
    ) {
        let (schema, table) = (whole.schema.clone(), whole.name.clone());
        self.leave_out_of(class, key, name, Some(schema), Some(table));
    }

    /// The row `key` is known, and makes nothing; a note says why.
    pub fn set_aside(&mut self, key: Key) {
        self.left_out.insert(key);
    }

    /// Notes what no archive can hold and nobody has to allow, about the relation `whole`.
    pub fn note(&mut self, whole: &QualifiedName, class: ObjectClass, text: impl Into<String>) {
        let (schema, table) = (Some(whole.schema.clone()), Some(whole.name.clone()));
        self.notes.insert(NotCarried { class, name: text.into(), schema, table });
    }

    pub fn object(&self, draft: usize) -> &SchemaObject {
        &self.drafts[draft].object
    }

    /// The object that makes `key`.
    pub fn maker(&self, key: Key) -> Option<usize> {
        self.claims.get(&key).map(|claim| claim.draft)
    }

    /// Whether `key` is made by an object, comes with one, or is named as not carried.
    pub fn accounts_for(&self, key: Key) -> bool {
        self.claims.contains_key(&key)
            || self.left_out.contains(&key)
            || self.implied.contains(&key)
    }

    /// Whether an object makes `key` without spelling it out.
    pub fn is_implied(&self, key: Key) -> bool {
        self.claims.get(&key).is_some_and(|claim| !claim.counts)
    }

    /// Whether `key` is named as not carried.
    pub fn is_left_out(&self, key: Key) -> bool {
        self.left_out.contains(&key)
    }

    /// The draft that a reference to `key` means, through array types, rowtypes and members of
    /// extensions.
    pub fn resolve(&self, graph: &Graph, key: Key) -> Option<usize> {
        let mut key = key;
        // Array of multirange of range of a rowtype: the chain is short, and never a circle.
        for _ in 0..8 {
            if let Some(extension) = graph.extension_of(key) {
                return self.maker(extension);
            }
            if let Some(draft) = self.maker(key) {
                return Some(draft);
            }
            key = graph.stands_for(key)?;
        }
        None
    }

    /// For each draft, the drafts that it needs.
    pub fn needs(&self, graph: &Graph) -> Vec<BTreeSet<usize>> {
        let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.drafts.len()];
        for (key, claim) in self.claims.iter().filter(|(_, claim)| claim.counts) {
            for edge in graph.edges(*key) {
                let to = match self.cuts.get(&(*key, edge.to)) {
                    Some(None) => continue,
                    Some(Some(instead)) => *instead,
                    None => edge.to,
                };
                let Some(target) = self.resolve(graph, to) else { continue };
                if !self.is_cut(claim.draft, target, edge.kind) {
                    needs[claim.draft].insert(target);
                }
            }
        }
        for (index, draft) in self.drafts.iter().enumerate() {
            needs[index].extend(draft.needs.iter().filter_map(|key| self.resolve(graph, *key)));
            needs[index].extend(&draft.needs_drafts);
            needs[index].remove(&index);
        }
        companions::need(self, graph, &mut needs);
        needs
    }

    /// Edges that a statement of its own stands for: `OWNED BY` and `ATTACH PARTITION` are
    /// objects, so the sequence does not need its table, nor the partition its parent.
    fn is_cut(&self, from: usize, to: usize, kind: char) -> bool {
        let (from, to) = (self.object(from).class, self.object(to).class);
        use ObjectClass::{ForeignTable, Sequence, Table};
        kind == 'a'
            && matches!(to, Table | ForeignTable)
            && matches!(from, Sequence | Table | ForeignTable)
    }

    /// The objects in their final order with dependencies as positions, and what is missing.
    pub fn finish(self, graph: &Graph) -> Finished {
        let needs = self.needs(graph);
        let Self { drafts, not_carried, notes, .. } = self;
        let objects: Vec<SchemaObject> = drafts.into_iter().map(|draft| draft.object).collect();
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by(|left, right| sort_key(&objects[*left]).cmp(&sort_key(&objects[*right])));
        Finished {
            objects: schema::arrange(objects, &needs, &order),
            not_carried: not_carried.into_iter().collect(),
            notes: notes.into_iter().collect(),
        }
    }
}

/// What came of it all.
pub(super) struct Finished {
    pub objects: Vec<SchemaObject>,
    pub not_carried: Vec<NotCarried>,
    pub notes: Vec<NotCarried>,
}

type SortKey<'a> =
    (Section, ObjectClass, &'a Option<String>, &'a Option<QualifiedName>, &'a str, Option<&'a str>);

/// Names first; the first statement tells apart what shares a name (an attached index's parent
/// and child in two schemas, for instance), so that the order never hangs on OIDs.
fn sort_key(object: &SchemaObject) -> SortKey<'_> {
    let first = object.statements.first().map(|statement| statement.sql.as_str());
    (object.section, object.class, &object.schema, &object.part_of, &object.name, first)
}
