//! What the catalogs say of relations: one row each, their columns, and who inherits from whom.

use super::collection::{Collection, Key};
use super::dependencies::Graph;
use super::rows::{self, USER_SCHEMA, since};
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

/// A relation that a user made, or a member of an extension that others may inherit from.
pub(super) struct Relation {
    pub oid: u32,
    /// Whether it comes with an extension: it is no object, and all that it has is there at once.
    pub is_member: bool,
    pub name: QualifiedName,
    /// `relkind`.
    pub kind: char,
    pub unlogged: bool,
    pub owner: String,
    pub is_partition: bool,
    /// `reloptions`, and those of the TOAST table with the prefix `toast.`.
    pub options: Vec<String>,
    /// The tablespace, where it is not the database's own.
    pub tablespace: Option<String>,
    /// The access method where it is not `heap`, or where a partitioned table names one for its
    /// partitions (17); of no meaning for indexes.
    pub access_method: Option<String>,
    /// `relreplident`.
    pub replica_identity: char,
    /// For a typed table: the composite type, quoted.
    pub of_type: Option<String>,
    /// Whether a materialized view has been filled.
    pub populated: bool,
    /// For a partitioned table: what follows `PARTITION BY`.
    pub partition_key: Option<String>,
    /// The columns that it reads.
    pub key_columns: Vec<i16>,
    /// For a partition: `FOR VALUES …` or `DEFAULT`.
    pub bound: Option<String>,
    /// For a foreign table: its server, and the options of the table.
    pub foreign: Option<(String, Vec<String>)>,
}

impl Relation {
    /// The name as SQL.
    pub fn sql(&self) -> String {
        ident::quote_qualified(&self.name)
    }

    pub fn key(&self) -> Key {
        Key::relation(self.oid)
    }

    /// What a table is among the objects.
    pub fn table_class(&self) -> ObjectClass {
        if self.kind == 'f' { ObjectClass::ForeignTable } else { ObjectClass::Table }
    }

    /// What `CREATE`, `ALTER … OWNER` and `COMMENT ON` call a table.
    pub fn keyword(&self) -> &'static str {
        if self.kind == 'f' { "FOREIGN TABLE" } else { "TABLE" }
    }
}

/// A column that has not been dropped.
pub(super) struct Column {
    pub number: i16,
    pub name: String,
    pub type_oid: u32,
    /// With its modifier: `numeric(10,2)`.
    pub type_sql: String,
    /// The quoted collation, where it is not the type's own.
    pub collation: Option<String>,
    /// `attnotnull`, which on 18 is true for constraints that are not validated as well.
    pub not_null: bool,
    /// `attgenerated`: a space, `s` stored, `v` virtual.
    pub generated: char,
    /// `attidentity`: a space, `a` always, `d` by default.
    pub identity: char,
    /// Default or generation expression, with its `pg_attrdef` row.
    pub default: Option<(Key, String)>,
    pub is_local: bool,
    pub statistics: Option<i32>,
    pub storage: Storage,
    /// `attcompression`: a space, `p` pglz, `l` lz4.
    pub compression: char,
    pub options: Vec<String>,
    /// `attfdwoptions`: what a foreign table tells its wrapper.
    pub foreign_options: Vec<String>,
}

/// How the values of a column are stored: `p` plain, `e` external, `m` main, `x` extended.
#[derive(Clone, Copy)]
pub(super) struct Storage {
    /// `attstorage`.
    pub letter: char,
    /// `typstorage`: what it is unless somebody says otherwise.
    pub of_type: char,
}

impl Storage {
    pub fn is_usual(self) -> bool {
        self.letter == self.of_type
    }

    /// What is plain now may hold values that were stored otherwise, and are too long for it.
    pub fn before_rows(self) -> char {
        if self.letter == 'p' { self.of_type } else { self.letter }
    }
}

/// All relations of users, by OID.
#[derive(Default)]
pub(super) struct Relations {
    by_oid: HashMap<u32, Relation>,
    /// Members of extensions that have had children.
    members: HashMap<u32, Relation>,
    /// Those of indexes only where they have a statistics target.
    columns: HashMap<u32, Vec<Column>>,
    parents: HashMap<u32, Vec<u32>>,
    children: HashMap<u32, Vec<u32>>,
}

impl Relations {
    pub fn read(
        client: &mut Client,
        major: u32,
        graph: &Graph,
        out: &mut Collection,
    ) -> Result<Self> {
        let mut relations = Self::default();
        relations.read_relations(client, graph)?;
        relations.read_columns(client, major, out)?;
        relations.read_inheritance(client, major, out)?;
        Ok(relations)
    }

    pub fn get(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid)
    }

    /// Relations of these kinds, in the order of their names.
    pub fn of_kind(&self, kinds: &[char]) -> Vec<&Relation> {
        let mut found: Vec<&Relation> =
            self.by_oid.values().filter(|relation| kinds.contains(&relation.kind)).collect();
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found
    }

    pub fn columns(&self, oid: u32) -> &[Column] {
        self.columns.get(&oid).map_or(&[], Vec::as_slice)
    }

    pub fn column(&self, oid: u32, number: i16) -> Option<&Column> {
        let columns = self.columns(oid);
        let place = columns.binary_search_by_key(&number, |column| column.number).ok()?;
        columns.get(place)
    }

    pub fn column_called(&self, oid: u32, name: &str) -> Option<&Column> {
        self.columns(oid).iter().find(|column| column.name == name)
    }

    /// The parents in the order of `inhseqno`: it decides the order of inherited columns. They may
    /// be members of extensions.
    pub fn parents(&self, oid: u32) -> impl Iterator<Item = &Relation> {
        let parents = self.parents.get(&oid).into_iter().flatten();
        parents.filter_map(|parent| self.get(*parent).or_else(|| self.members.get(parent)))
    }

    /// The partition, `oid` itself or one above it, that is attached to a member of an extension.
    pub fn attached_to_member(&self, oid: u32) -> Option<&Relation> {
        let mut partition = self.get(oid).filter(|relation| relation.is_partition)?;
        loop {
            let above = self.parents(partition.oid).next()?;
            if above.is_member {
                return Some(partition);
            }
            partition = Some(above).filter(|above| above.is_partition)?;
        }
    }

    pub fn children(&self, oid: u32) -> impl Iterator<Item = &Relation> {
        self.children.get(&oid).into_iter().flatten().filter_map(|child| self.get(*child))
    }

    /// All relations below `oid`, parents before their children.
    pub fn descendants(&self, oid: u32) -> Vec<&Relation> {
        let mut found: Vec<&Relation> = self.children(oid).collect();
        let mut next = 0;
        while let Some(relation) = found.get(next) {
            found.extend(self.children(relation.oid));
            next += 1;
        }
        found
    }

    /// The columns of that name in all parents.
    pub fn inherited<'a>(
        &'a self,
        oid: u32,
        column: &'a str,
    ) -> impl Iterator<Item = (&'a Relation, &'a Column)> {
        self.parents(oid).filter_map(move |parent| {
            self.column_called(parent.oid, column).map(|found| (parent, found))
        })
    }

    fn read_relations(&mut self, client: &mut Client, graph: &Graph) -> Result<()> {
        let sql = format!(
            "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
                    c.relkind::text AS kind, c.relpersistence::text AS persistence,
                    pg_get_userbyid(c.relowner)::text AS owner, c.relispartition AS is_partition,
                    coalesce(c.reloptions, '{{}}') AS options,
                    coalesce(toast.reloptions, '{{}}') AS toast_options,
                    CASE WHEN c.relkind = 'p' OR am.amname <> 'heap' THEN am.amname::text END
                      AS access_method,
                    ts.spcname::text AS tablespace,
                    c.relreplident::text AS replica_identity,
                    CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, -1) END AS of_type,
                    c.relispopulated AS populated, c.relhassubclass AS has_children,
                    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
                    CASE WHEN c.relkind = 'p' THEN ARRAY(
                         SELECT d.objsubid::int2 FROM pg_catalog.pg_depend AS d
                         WHERE d.classid = 1259 AND d.objid = c.oid AND d.objsubid > 0
                           AND d.refclassid = 1259 AND d.refobjid = c.oid AND d.deptype = 'i')
                         ELSE '{{}}' END AS key_columns,
                    CASE WHEN c.relispartition AND c.relkind IN ('r', 'p', 'f')
                         THEN pg_get_expr(c.relpartbound, c.oid) END AS bound,
                    server.srvname::text AS server,
                    coalesce(ft.ftoptions, '{{}}') AS foreign_options
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid
             LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
             LEFT JOIN pg_catalog.pg_tablespace AS ts ON ts.oid = c.reltablespace
             LEFT JOIN pg_catalog.pg_foreign_table AS ft ON ft.ftrelid = c.oid
             LEFT JOIN pg_catalog.pg_foreign_server AS server ON server.oid = ft.ftserver
             WHERE {USER_SCHEMA}"
        );
        for row in rows::stream(client, "relations", &sql)? {
            let row = row?;
            let oid = row.get("oid")?;
            let is_member = graph.extension_of(Key::relation(oid)).is_some();
            if is_member && !row.get("has_children")? {
                continue;
            }
            let mut options: Vec<String> = row.get("options")?;
            let of_toast: Vec<String> = row.get("toast_options")?;
            options.extend(of_toast.into_iter().map(|option| format!("toast.{option}")));
            let name = QualifiedName::new(row.get::<String>("schema")?, row.get::<&str>("name")?);
            let foreign = match row.get::<Option<String>>("server")? {
                Some(server) => Some((server, row.get("foreign_options")?)),
                None => None,
            };
            let relation = Relation {
                oid,
                is_member,
                name,
                kind: row.letter("kind")?,
                unlogged: row.letter("persistence")? == 'u',
                owner: row.get("owner")?,
                is_partition: row.get("is_partition")?,
                options,
                tablespace: row.get("tablespace")?,
                access_method: row.get("access_method")?,
                replica_identity: row.letter("replica_identity")?,
                of_type: row.get("of_type")?,
                populated: row.get("populated")?,
                partition_key: row.get("partition_key")?,
                key_columns: row.get("key_columns")?,
                bound: row.get("bound")?,
                foreign,
            };
            if is_member { &mut self.members } else { &mut self.by_oid }.insert(oid, relation);
        }
        Ok(())
    }

    fn read_columns(
        &mut self,
        client: &mut Client,
        major: u32,
        out: &mut Collection,
    ) -> Result<()> {
        // The real type modifier matters: without it format_type gives char(1) for bpchar.
        let compression = since(major, 14, "a.attcompression::text", "''");
        let sql = format!(
            "SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name,
                    a.atttypid AS type_oid, format_type(a.atttypid, a.atttypmod) AS type,
                    CASE WHEN a.attcollation <> t.typcollation
                         THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
                    END AS collation,
                    a.attnotnull AS not_null, a.attgenerated::text AS generated,
                    a.attidentity::text AS identity, d.oid AS default_oid,
                    pg_get_expr(d.adbin, d.adrelid) AS default, a.attislocal AS is_local,
                    a.attstattarget::int AS statistics, a.attstorage::text AS storage,
                    t.typstorage::text AS storage_of_type, {compression} AS compression,
                    coalesce(a.attoptions, '{{}}') AS options,
                    coalesce(a.attfdwoptions, '{{}}') AS foreign_options
             FROM pg_catalog.pg_attribute AS a
             JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             LEFT JOIN pg_catalog.pg_collation AS co ON co.oid = a.attcollation
             LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = co.collnamespace
             LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attnum > 0 AND NOT a.attisdropped AND {USER_SCHEMA}
               AND (c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
                    OR c.relkind IN ('i', 'I') AND a.attstattarget >= 0)
             ORDER BY a.attrelid, a.attnum"
        );
        for row in rows::stream(client, "columns", &sql)? {
            let row = row?;
            let oid: u32 = row.get("relation")?;
            let Some(relation) = self.by_oid.get(&oid).or_else(|| self.members.get(&oid)) else {
                continue;
            };
            let default = match row.get::<Option<u32>>("default_oid")? {
                Some(row_oid) => Some((Key::default(row_oid), row.deparsed("default")?)),
                None => None,
            };
            let column = Column {
                number: row.get("number")?,
                name: row.get("name")?,
                type_oid: row.get("type_oid")?,
                type_sql: row.deparsed("type")?,
                collation: row.get("collation")?,
                not_null: row.get("not_null")?,
                generated: row.letter("generated")?,
                identity: row.letter("identity")?,
                default,
                is_local: row.get("is_local")?,
                // "No target of its own" is -1 up to 16 and null from 17 on.
                statistics: row.get::<Option<i32>>("statistics")?.filter(|target| *target >= 0),
                storage: Storage {
                    letter: row.letter("storage")?,
                    of_type: row.letter("storage_of_type")?,
                },
                compression: row.letter("compression")?,
                options: row.get("options")?,
                foreign_options: row.get("foreign_options")?,
            };
            if !" sv".contains(column.generated) || !" ad".contains(column.identity) {
                let name = format!("generation or identity of {}.{}", relation.name, column.name);
                out.leave_out_on(&relation.name, ObjectClass::Unknown, None, name);
            }
            self.columns.entry(oid).or_default().push(column);
        }
        self.columns.values_mut().for_each(Vec::shrink_to_fit);
        Ok(())
    }

    fn read_inheritance(
        &mut self,
        client: &mut Client,
        major: u32,
        out: &mut Collection,
    ) -> Result<()> {
        let pending = since(major, 14, "inhdetachpending", "false");
        let sql = format!(
            "SELECT inhrelid AS child, inhparent AS parent, {pending} AS pending
             FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno"
        );
        for row in rows::stream(client, "inheritance", &sql)? {
            let row = row?;
            let (child, parent) = (row.get("child")?, row.get("parent")?);
            if let (true, Some(relation)) = (row.get("pending")?, self.by_oid.get(&child)) {
                let name = format!("pending detach of partition {}", relation.name);
                out.leave_out_on(&relation.name, ObjectClass::Unknown, None, name);
            }
            self.parents.entry(child).or_default().push(parent);
            self.children.entry(parent).or_default().push(child);
        }
        for children in self.children.values_mut() {
            children.sort_by_cached_key(|child| self.by_oid.get(child).map(|c| c.name.clone()));
        }
        Ok(())
    }
}
