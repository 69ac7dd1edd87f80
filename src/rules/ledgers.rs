//! Which tables are ledgers of migration tools, by their names and columns
//! (research: alembic.md section 4).

use crate::model::ledger::Tool;
use crate::model::name::QualifiedName;
use crate::model::table::Column;
use std::collections::BTreeMap;

/// How a ledger of a tool looks.
struct Shape {
    tool: Tool,
    /// The table's name; where the columns are like nobody else's, none, since it can be configured.
    name: Option<&'static str>,
    /// Columns that must be there, each with the beginning of its type.
    columns: &'static [(&'static str, &'static str)],
    /// Columns that may be there besides.
    others: &'static [&'static str],
}

const ANY: &str = "";
const TEXT: &str = "character varying";
const TIME: &str = "timestamp";

/// Versions of tools differ in columns and types; only what they agree on is asked for.
const SHAPES: &[Shape] = &[
    Shape { tool: Tool::Alembic, name: None, columns: &[("version_num", TEXT)], others: &[] },
    Shape { tool: Tool::Alembic, name: None, columns: &[("version_num", "text")], others: &[] },
    Shape {
        tool: Tool::Django,
        name: Some("django_migrations"),
        columns: &[("id", ANY), ("app", TEXT), ("name", TEXT), ("applied", TIME)],
        others: &[],
    },
    Shape {
        tool: Tool::Flyway,
        name: None,
        columns: &[
            ("installed_rank", "integer"),
            ("version", TEXT),
            ("description", TEXT),
            ("type", TEXT),
            ("script", TEXT),
            ("checksum", "integer"),
            ("success", "boolean"),
        ],
        others: &["installed_by", "installed_on", "execution_time"],
    },
    Shape {
        tool: Tool::Liquibase,
        name: None,
        columns: &[
            ("id", TEXT),
            ("author", TEXT),
            ("filename", TEXT),
            ("dateexecuted", TIME),
            ("orderexecuted", "integer"),
            ("exectype", TEXT),
            ("md5sum", TEXT),
        ],
        others: &[
            "description",
            "comments",
            "tag",
            "liquibase",
            "contexts",
            "labels",
            "deployment_id",
        ],
    },
    Shape {
        tool: Tool::Prisma,
        name: Some("_prisma_migrations"),
        columns: &[
            ("id", TEXT),
            ("checksum", TEXT),
            ("finished_at", TIME),
            ("migration_name", TEXT),
            ("rolled_back_at", TIME),
            ("started_at", TIME),
        ],
        others: &["logs", "applied_steps_count"],
    },
    Shape {
        tool: Tool::Sqlx,
        name: None,
        columns: &[
            ("version", "bigint"),
            ("description", "text"),
            ("installed_on", TIME),
            ("success", "boolean"),
            ("checksum", "bytea"),
        ],
        others: &["execution_time"],
    },
    Shape {
        tool: Tool::Diesel,
        name: Some("__diesel_schema_migrations"),
        columns: &[("version", TEXT), ("run_on", TIME)],
        others: &[],
    },
    Shape {
        tool: Tool::SeaOrm,
        name: None,
        columns: &[("version", TEXT), ("applied_at", "bigint")],
        others: &[],
    },
    Shape {
        tool: Tool::Refinery,
        name: None,
        columns: &[("version", ANY), ("name", TEXT), ("applied_on", TEXT), ("checksum", TEXT)],
        others: &[],
    },
    Shape {
        tool: Tool::GolangMigrate,
        name: None,
        columns: &[("version", "bigint"), ("dirty", "boolean")],
        others: &[],
    },
    Shape {
        tool: Tool::Ecto,
        name: Some("schema_migrations"),
        columns: &[("version", "bigint"), ("inserted_at", TIME)],
        others: &[],
    },
    // Rails and dbmate: `recognise` tells them apart.
    Shape {
        tool: Tool::Rails,
        name: Some("schema_migrations"),
        columns: &[("version", TEXT)],
        others: &[],
    },
    Shape {
        tool: Tool::Goose,
        name: None,
        columns: &[
            ("id", ANY),
            ("version_id", "bigint"),
            ("is_applied", "boolean"),
            ("tstamp", TIME),
        ],
        others: &[],
    },
    Shape {
        tool: Tool::Atlas,
        name: Some("atlas_schema_revisions"),
        columns: &[
            ("version", TEXT),
            ("description", TEXT),
            ("applied", "bigint"),
            ("total", "bigint"),
            ("hash", TEXT),
        ],
        others: &[
            "type",
            "executed_at",
            "execution_time",
            "error",
            "error_stmt",
            "partial_hashes",
            "operator_version",
        ],
    },
    Shape {
        tool: Tool::Knex,
        name: None,
        columns: &[
            ("id", "integer"),
            ("name", TEXT),
            ("batch", "integer"),
            ("migration_time", TIME),
        ],
        others: &[],
    },
    Shape {
        tool: Tool::Laravel,
        name: None,
        columns: &[("id", ANY), ("migration", TEXT), ("batch", "integer")],
        others: &["migrated_at"],
    },
    Shape {
        tool: Tool::TypeOrm,
        name: Some("migrations"),
        columns: &[("id", "integer"), ("timestamp", "bigint"), ("name", TEXT)],
        others: &[],
    },
    Shape {
        tool: Tool::Drizzle,
        name: Some("__drizzle_migrations"),
        columns: &[("id", "integer"), ("hash", "text"), ("created_at", "bigint")],
        others: &["name", "applied_at"],
    },
    Shape {
        tool: Tool::Sequelize,
        name: Some("SequelizeMeta"),
        columns: &[("name", TEXT)],
        others: &[],
    },
    Shape {
        tool: Tool::NodePgMigrate,
        name: Some("pgmigrations"),
        columns: &[("id", "integer"), ("name", TEXT), ("run_on", TIME)],
        others: &[],
    },
    Shape {
        tool: Tool::Sqitch,
        name: Some("changes"),
        columns: &[
            ("change_id", "text"),
            ("script_hash", "text"),
            ("change", "text"),
            ("project", "text"),
            ("committed_at", TIME),
        ],
        others: &[
            "note",
            "committer_name",
            "committer_email",
            "planned_at",
            "planner_name",
            "planner_email",
        ],
    },
];

impl Shape {
    fn fits(&self, table: &QualifiedName, columns: &[Column]) -> bool {
        let has = |(name, kind): &(&str, &str)| {
            columns
                .iter()
                .any(|column| column.name == *name && plain(&column.type_name).starts_with(kind))
        };
        let known = |column: &Column| {
            self.others.contains(&column.name.as_str())
                || self.columns.iter().any(|(name, _)| *name == column.name)
        };
        self.name.is_none_or(|name| table.name == name)
            && self.columns.iter().all(has)
            && columns.iter().all(known)
    }
}

/// A type's name without the quotes and the schema that `quote_all_identifiers` brings.
fn plain(type_name: &str) -> String {
    type_name.replace('"', "").trim_start_matches("pg_catalog.").to_owned()
}

/// The ledgers among these tables, by tool and name. A version of dbmate and of Rails has the same
/// table: Rails has another one beside it, and gives its column no length.
pub fn recognise<'a>(
    tables: impl IntoIterator<Item = (&'a QualifiedName, &'a [Column])>,
) -> Vec<(Tool, QualifiedName)> {
    let tables: BTreeMap<&QualifiedName, &[Column]> = tables.into_iter().collect();
    let mut found = Vec::new();
    for (table, columns) in &tables {
        let Some(shape) = SHAPES.iter().find(|shape| shape.fits(table, columns)) else { continue };
        let tool = match shape.tool {
            Tool::Rails => {
                let beside = QualifiedName::new(table.schema.clone(), "ar_internal_metadata");
                let unbounded = columns.iter().all(|column| plain(&column.type_name) == TEXT);
                if tables.contains_key(&beside) || unbounded { Tool::Rails } else { Tool::Dbmate }
            }
            tool => tool,
        };
        found.push((tool, (*table).clone()));
    }
    found.sort();
    found
}

/// The newest of versions that consist of numbers with dots or underlines between them, as Flyway
/// orders them.
pub fn newest_by_numbers<'a>(versions: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let numbers = |version: &str| -> Option<Vec<u128>> {
        let mut parts: Vec<u128> =
            version.split(['.', '_']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Some(parts)
    };
    versions.into_iter().filter_map(|v| Some((numbers(v)?, v))).max().map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<Column> {
        let column = |text: &str| {
            let (name, type_name) = text.split_once(' ').unwrap();
            Column { name: name.to_owned(), type_name: type_name.to_owned() }
        };
        text.split(", ").map(column).collect()
    }

    fn tool(name: &str, text: &str) -> Option<Tool> {
        let (name, columns) = (QualifiedName::new("public", name), columns(text));
        recognise([(&name, columns.as_slice())]).first().map(|(tool, _)| *tool)
    }

    #[test]
    fn schema_migrations_of_four_tools_are_told_apart() {
        let name = "schema_migrations";
        assert_eq!(tool(name, "version character varying"), Some(Tool::Rails));
        assert_eq!(tool(name, "version character varying(128)"), Some(Tool::Dbmate));
        assert_eq!(tool(name, "version bigint, dirty boolean"), Some(Tool::GolangMigrate));
        assert_eq!(
            tool(name, "version bigint, inserted_at timestamp(0) without time zone"),
            Some(Tool::Ecto)
        );
        let beside = (QualifiedName::new("public", "ar_internal_metadata"), columns("key x"));
        let rails = (QualifiedName::new("public", name), columns("version character varying(255)"));
        let found = recognise([(&beside.0, &beside.1[..]), (&rails.0, &rails.1[..])]);
        assert_eq!(found, [(Tool::Rails, rails.0.clone())]);
    }

    #[test]
    fn a_name_alone_or_columns_alone_are_not_enough() {
        assert_eq!(tool("django_migrations", "id bigint, app text"), None);
        assert_eq!(tool("migrations", "id integer, name character varying"), None);
        assert_eq!(tool("names", "name character varying(255)"), None);
        assert_eq!(tool("alembic_version", "version_num integer"), None);
        assert_eq!(tool("v", "version_num character varying(32), more integer"), None);
        assert_eq!(tool("v", "version_num character varying(32)"), Some(Tool::Alembic));
        assert_eq!(tool("v", "\"version_num\" x"), None);
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert_eq!(newest_by_numbers(["2", "10.1", "10.0.1", "x"]), Some("10.1"));
        assert_eq!(newest_by_numbers(["1.0", "1_1"]), Some("1_1"));
        assert_eq!(newest_by_numbers(["x"]), None);
    }
}
