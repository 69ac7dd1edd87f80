//! Sequences: standalone, owned by a column, and behind identity columns.

use super::collection::{Collection, Draft, Key};
use super::newer;
use super::relations::{Column, Relation, Relations};
use super::rows;
use crate::error::Result;
use crate::model::catalog::{Address, Description, Property};
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

/// A sequence with all its parameters, which depend on its type and sign when left out.
pub(super) struct Sequence {
    pub oid: u32,
    pub name: QualifiedName,
    type_sql: String,
    start: i64,
    increment: i64,
    minimum: i64,
    maximum: i64,
    cache: i64,
    cycles: bool,
    /// Whether the sequence is unlogged although its table is not, or the other way round.
    persistence_word: Option<&'static str>,
    /// Whether statements can say so: from 15 on. Before that all sequences are logged.
    says_persistence: bool,
    /// The column it belongs to, and how: `a` OWNED BY, `i` identity.
    belongs_to: Option<(u32, i16, char)>,
}

impl Sequence {
    pub fn sql(&self) -> String {
        ident::quote_qualified(&self.name)
    }

    fn parameters(&self) -> String {
        format!(
            "INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {}{}",
            self.increment,
            self.minimum,
            self.maximum,
            self.start,
            self.cache,
            if self.cycles { " CYCLE" } else { "" }
        )
    }

    fn describe(&self, description: &mut Description) {
        description
            .set(Property::Type, self.type_sql.as_str())
            .set(Property::Start, self.start.to_string())
            .set(Property::Increment, self.increment.to_string())
            .set(Property::Minimum, self.minimum.to_string())
            .set(Property::Maximum, self.maximum.to_string())
            .set(Property::Cache, self.cache.to_string())
            .set_if(Property::Cycle, self.cycles);
    }

    /// Says what the sequence of an identity column is. Its owner is the table's.
    pub fn describe_identity(
        &self,
        description: &mut Description,
        table: &Relation,
        column: &Column,
    ) {
        self.describe(description);
        let column = QualifiedName::new(table.name.to_string(), column.name.as_str());
        description
            .set(Property::OwnedBy, format!("identity of {column}"))
            .set_some(Property::Persistence, self.persistence_word.map(str::to_lowercase));
    }

    /// What stands in parentheses behind `AS IDENTITY`; the type follows the column's.
    pub fn identity_options(&self, column: &Column) -> String {
        let said = self.persistence_word.filter(|_| self.says_persistence);
        let word = said.map(|word| format!(" {word}")).unwrap_or_default();
        let parameters = match self.type_of_its_own(column) {
            None => format!(" {}", self.parameters()),
            Some(_) => String::new(),
        };
        format!("SEQUENCE NAME {}{word}{parameters}", self.sql())
    }

    /// What gives it another type than its column's: `LIKE … INCLUDING IDENTITY` makes it a bigint always.
    pub fn type_of_its_own(&self, column: &Column) -> Option<String> {
        (self.type_sql != column.type_sql).then(|| {
            let (parameters, start) = (self.parameters(), self.start);
            format!(
                "ALTER SEQUENCE {} AS {} {parameters} RESTART WITH {start}",
                self.sql(),
                self.type_sql
            )
        })
    }

    /// What keeps that of an identity column as it is on a newer server, which would give it the table's
    /// persistence: it would begin anew after a crash, and give numbers again that others have kept.
    pub fn kept_persistence(&self) -> Option<String> {
        let word = self.persistence_word.filter(|_| !self.says_persistence)?;
        Some(newer::from(15, &format!("ALTER SEQUENCE {} SET {word}", self.sql())))
    }
}

/// All sequences of users.
pub(super) struct Sequences {
    by_oid: HashMap<u32, Sequence>,
    identities: HashMap<(u32, i16), u32>,
}

impl Sequences {
    pub fn read(client: &mut Client, major: u32, relations: &Relations) -> Result<Self> {
        let sql = "SELECT s.seqrelid AS oid, format_type(s.seqtypid, NULL) AS type,
                    s.seqstart AS start, s.seqincrement AS increment, s.seqmin AS minimum,
                    s.seqmax AS maximum, s.seqcache AS cache, s.seqcycle AS cycles,
                    d.refobjid AS table, d.refobjsubid AS column, d.deptype::text AS how,
                    c.relpersistence::text AS persistence, t.relpersistence::text AS of_table
             FROM pg_catalog.pg_sequence AS s
             JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
             LEFT JOIN pg_catalog.pg_depend AS d
               ON d.classid = 1259 AND d.objid = s.seqrelid AND d.objsubid = 0
              AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
             LEFT JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid";
        let mut sequences = Self { by_oid: HashMap::new(), identities: HashMap::new() };
        for row in rows::stream(client, "sequences", sql)? {
            let row = row?;
            let oid: u32 = row.get("oid")?;
            let Some(relation) = relations.get(oid) else { continue };
            let belongs_to = match row.get::<Option<u32>>("table")? {
                Some(table) => {
                    let column: i32 = row.get("column")?;
                    Some((table, i16::try_from(column).unwrap_or_default(), row.letter("how")?))
                }
                None => None,
            };
            let own: Option<&str> = row.get("persistence")?;
            let persistence_word = match (own, row.get::<Option<&str>>("of_table")?) {
                (Some("u"), Some("p")) => Some("UNLOGGED"),
                (Some("p"), Some("u")) => Some("LOGGED"),
                _ => None,
            };
            let sequence = Sequence {
                oid,
                name: relation.name.clone(),
                type_sql: row.deparsed("type")?,
                start: row.get("start")?,
                increment: row.get("increment")?,
                minimum: row.get("minimum")?,
                maximum: row.get("maximum")?,
                cache: row.get("cache")?,
                cycles: row.get("cycles")?,
                persistence_word,
                says_persistence: major >= 15,
                belongs_to,
            };
            if let Some((table, column, 'i')) = belongs_to {
                sequences.identities.insert((table, column), oid);
            }
            sequences.by_oid.insert(oid, sequence);
        }
        Ok(sequences)
    }

    /// The sequence behind an identity column. From 17 on the identity columns of partitions
    /// have none of their own (P16).
    pub fn of_identity(&self, table: u32, column: i16) -> Option<&Sequence> {
        self.by_oid.get(self.identities.get(&(table, column))?)
    }
}

/// Collects the sequences that are not made with an identity column.
pub(super) fn collect(
    out: &mut Collection,
    relations: &Relations,
    sequences: &Sequences,
) -> Result<()> {
    for relation in relations.of_kind(&['S']) {
        let Some(sequence) = sequences.by_oid.get(&relation.oid) else { continue };
        if matches!(sequence.belongs_to, Some((_, _, 'i'))) {
            continue;
        }
        let name = relation.sql();
        let unlogged = if relation.unlogged { "UNLOGGED " } else { "" };
        let draft =
            Draft::new(ObjectClass::Sequence, Some(&relation.name.schema), &relation.name.name)
                .define(format!(
                    "CREATE {unlogged}SEQUENCE {name} AS {} {}",
                    sequence.type_sql,
                    sequence.parameters()
                ))
                .owned_by(&relation.owner, &format!("SEQUENCE {name}"));
        let index = out.add(relation.key(), draft)?;
        out.commentable_relation(relation.key(), index, "SEQUENCE", &name);
        let description = out.described(index);
        sequence.describe(description);
        description.set_some(Property::Persistence, relation.unlogged.then_some("unlogged"));
        if let Some((table, column, _)) = sequence.belongs_to {
            own(out, relations, relation, table, column)?;
        }
    }
    Ok(())
}

/// `OWNED BY` comes after both have their owner, which must be the same.
fn own(
    out: &mut Collection,
    relations: &Relations,
    sequence: &Relation,
    table: u32,
    column: i16,
) -> Result<()> {
    let Some((table, column)) =
        relations.get(table).and_then(|table| Some((table, relations.column(table.oid, column)?)))
    else {
        return Ok(());
    };
    let draft =
        Draft::new(ObjectClass::SequenceOwner, Some(&sequence.name.schema), &sequence.name.name)
            .part_of(table.name.clone())
            .define(format!(
                "ALTER SEQUENCE {} OWNED BY {}.{}",
                sequence.sql(),
                table.sql(),
                ident::quote(&column.name)
            ))
            .needs(sequence.key())
            .needs(table.key());
    let index = out.add(Key::sequence_owner(sequence.oid), draft)?;
    let of = Address::within(ObjectClass::Sequence, &sequence.name);
    let column = QualifiedName::new(table.name.to_string(), column.name.as_str());
    out.describe(index, of).set(Property::OwnedBy, column.to_string());
    Ok(())
}
