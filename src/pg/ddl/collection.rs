//! Objects while they are being collected, and who has claimed which row of the catalogs.

use super::dependencies::Graph;
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::{NotCarried, ObjectClass, Purpose, SchemaObject, Section, Statement};
use crate::pg::ident;
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
    default 2604, rule 2618, trigger 2620,
    // Statements that have no row of their own, under the OID of what they belong to.
    attach 1, sequence_owner 2, index_attach 3, view_data 4, table_setting 5, database 6,
}

/// The catalog of relations, where `objsubid` counts columns.
pub(super) const PG_CLASS: u32 = 1259;
/// The catalog of collations.
pub(super) const PG_COLLATION: u32 = 3456;

/// An object with what it needs, before positions are known.
pub(super) struct Draft {
    object: SchemaObject,
    needs: Vec<Key>,
}

impl Draft {
    pub fn new(class: ObjectClass, schema: Option<&str>, name: impl Into<String>) -> Self {
        let object = SchemaObject {
            class,
            schema: schema.map(str::to_owned),
            name: name.into(),
            part_of: None,
            owner: None,
            section: Section::PreData,
            depends_on: Vec::new(),
            statements: Vec::new(),
            placeholder: None,
            access: None,
        };
        Self { object, needs: Vec::new() }
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
    /// What `COMMENT ON` names: `TABLE "public"."t"`.
    pub target: String,
    /// The quoted relation, for comments on its columns.
    pub relation: Option<String>,
}

struct Claim {
    draft: usize,
    /// Whether what the row depends on is needed by the draft.
    counts: bool,
}

/// Everything found so far.
#[derive(Default)]
pub(super) struct Collection {
    drafts: Vec<Draft>,
    claims: HashMap<Key, Claim>,
    commentable: HashMap<Key, Commentable>,
    left_out: HashSet<Key>,
    not_carried: BTreeSet<NotCarried>,
}

impl Collection {
    /// Takes in an object that makes the row `key`.
    pub fn add(&mut self, key: Key, draft: Draft) -> Result<usize> {
        let index = self.add_without_row(draft);
        self.claim(key, index)?;
        Ok(index)
    }

    /// Takes in an object that no row of the catalogs stands for.
    pub fn add_without_row(&mut self, draft: Draft) -> usize {
        self.drafts.push(draft);
        self.drafts.len() - 1
    }

    /// The object `draft` also makes the row `key`, and needs what that row depends on.
    pub fn claim(&mut self, key: Key, draft: usize) -> Result<()> {
        self.enter(key, Claim { draft, counts: true })
    }

    /// The object `draft` makes the row `key`, but none of its statements spells it out (it
    /// comes from a parent), so what the row depends on is not needed.
    pub fn claim_implied(&mut self, key: Key, draft: usize) -> Result<()> {
        self.enter(key, Claim { draft, counts: false })
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

    /// Comments on `key` are written with the object `draft`.
    pub fn commentable(&mut self, key: Key, draft: usize, target: impl Into<String>) {
        let entry = Commentable { draft, target: target.into(), relation: None };
        self.commentable.insert(key, entry);
    }

    /// Comments on the relation `key` and its columns are written with the object `draft`.
    pub fn commentable_relation(&mut self, key: Key, draft: usize, kind: &str, relation: &str) {
        let target = format!("{kind} {relation}");
        let relation = Some(relation.to_owned());
        self.commentable.insert(key, Commentable { draft, target, relation });
    }

    pub fn comment_target(&self, key: Key) -> Option<&Commentable> {
        self.commentable.get(&key)
    }

    pub fn push(&mut self, draft: usize, statement: Statement) {
        self.drafts[draft].object.statements.push(statement);
    }

    /// The object `draft` comes after what makes `key`.
    pub fn add_need(&mut self, draft: usize, key: Key) {
        self.drafts[draft].needs.push(key);
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

    pub fn object(&self, draft: usize) -> &SchemaObject {
        &self.drafts[draft].object
    }

    /// The object that makes `key`.
    pub fn maker(&self, key: Key) -> Option<usize> {
        self.claims.get(&key).map(|claim| claim.draft)
    }

    /// Whether `key` is made by an object or named as not carried.
    pub fn accounts_for(&self, key: Key) -> bool {
        self.claims.contains_key(&key) || self.left_out.contains(&key)
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
                let Some(target) = self.resolve(graph, edge.to) else { continue };
                if !self.is_cut(claim.draft, target, edge.kind) {
                    needs[claim.draft].insert(target);
                }
            }
        }
        for (index, draft) in self.drafts.iter().enumerate() {
            needs[index].extend(draft.needs.iter().filter_map(|key| self.resolve(graph, *key)));
            needs[index].remove(&index);
        }
        needs
    }

    /// Edges that a statement of its own stands for: `OWNED BY` and `ATTACH PARTITION` are
    /// objects, so the sequence does not need its table, nor the partition its parent.
    fn is_cut(&self, from: usize, to: usize, kind: char) -> bool {
        let (from, to) = (self.object(from).class, self.object(to).class);
        kind == 'a'
            && to == ObjectClass::Table
            && matches!(from, ObjectClass::Sequence | ObjectClass::Table)
    }

    /// The objects in their final order with dependencies as positions, and what is not carried.
    pub fn finish(self, graph: &Graph) -> (Vec<SchemaObject>, Vec<NotCarried>) {
        let needs = self.needs(graph);
        let mut objects: Vec<SchemaObject> = self.drafts.into_iter().map(|d| d.object).collect();
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by(|left, right| sort_key(&objects[*left]).cmp(&sort_key(&objects[*right])));
        let mut position = vec![0; objects.len()];
        for (new, old) in order.iter().enumerate() {
            position[*old] = new;
        }
        for (object, needs) in objects.iter_mut().zip(&needs) {
            object.depends_on = needs.iter().map(|old| position[*old]).collect();
            object.depends_on.sort_unstable();
        }
        let mut placed: Vec<(usize, SchemaObject)> = position.into_iter().zip(objects).collect();
        placed.sort_by_key(|(position, _)| *position);
        let objects = placed.into_iter().map(|(_, object)| object).collect();
        (objects, self.not_carried.into_iter().collect())
    }
}

type SortKey<'a> =
    (Section, ObjectClass, &'a Option<String>, &'a Option<QualifiedName>, &'a str, Option<&'a str>);

/// Names first; the first statement tells apart what shares a name (an attached index's parent
/// and child in two schemas, for instance), so that the order never hangs on OIDs.
fn sort_key(object: &SchemaObject) -> SortKey<'_> {
    let first = object.statements.first().map(|statement| statement.sql.as_str());
    (object.section, object.class, &object.schema, &object.part_of, &object.name, first)
}
