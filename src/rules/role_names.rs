//! The roles that a schema names: as owners, in access lists, and in statements.

use super::renames::Renames;
use crate::model::schema::{AccessList, Grant, ObjectClass, Purpose, SchemaObject, Statement};
use std::collections::BTreeSet;
use std::ops::Range;

/// Every role that an object names.
pub fn named(object: &SchemaObject) -> BTreeSet<String> {
    let mut roles: BTreeSet<String> = object.owner.iter().cloned().collect();
    if let Some(list) = &object.access {
        roles.extend(in_access(list));
    }
    roles.extend(in_statements(object));
    roles
}

/// The owner of an access list, who gave something, and who has something.
pub fn in_access(list: &AccessList) -> impl Iterator<Item = String> {
    let of_grant = |grant: &Grant| [Some(grant.grantor.clone()), grant.grantee.clone()];
    let of_grants = list.grants.iter().flat_map(of_grant).flatten();
    std::iter::once(list.owner.clone()).chain(of_grants)
}

/// The roles that policies apply to and that user mappings are for.
pub fn in_statements(object: &SchemaObject) -> BTreeSet<String> {
    let of = |statement: &Statement| -> Vec<String> {
        let names = |span: Range<usize>| unquote(&statement.sql[span]);
        spans(object.class, statement).into_iter().map(names).collect()
    };
    object.statements.iter().flat_map(of).collect()
}

/// Gives roles their new names wherever the object names them.
pub fn rename(object: &mut SchemaObject, renames: &Renames) {
    let class = object.class;
    for statement in &mut object.statements {
        for span in spans(class, statement).into_iter().rev() {
            let new = quote(renames.of(&unquote(&statement.sql[span.clone()])));
            statement.sql.replace_range(span, &new);
        }
        if let (ObjectClass::DatabaseSetting, Some(role)) = (class, &object.owner) {
            let new = setting_of(renames.of(role));
            if let Some(rest) = statement.sql.strip_prefix(&setting_of(role)) {
                statement.sql = format!("{new}{rest}");
            }
        }
    }
    object.owner = object.owner.as_deref().map(|owner| renames.of(owner).to_owned());
    if let Some(list) = &mut object.access {
        rename_access(list, renames);
    }
}

/// Gives the roles of an access list their new names. What two roles have that are now one is
/// joined; what a role would have given to itself goes, unless it is the owner's own.
pub fn rename_access(list: &mut AccessList, renames: &Renames) {
    list.owner = renames.of(&list.owner).to_owned();
    let mut grants: Vec<Grant> = Vec::with_capacity(list.grants.len());
    for grant in &list.grants {
        let grantor = renames.of(&grant.grantor).to_owned();
        let grantee = grant.grantee.as_deref().map(|role| renames.of(role).to_owned());
        if grantee.as_ref() == Some(&grantor) && grantor != list.owner {
            continue;
        }
        let same = grants.iter_mut().find(|known| {
            known.grantor == grantor
                && known.grantee == grantee
                && known.privilege == grant.privilege
        });
        match same {
            Some(known) => known.grantable |= grant.grantable,
            None => grants.push(Grant { grantee, grantor, ..grant.clone() }),
        }
    }
    list.grants = grants;
}

/// How the setting of a role begins: it stands in a string within a string, because the name of
/// the database is known only where it runs.
fn setting_of(role: &str) -> String {
    let twice = format!("ALTER ROLE {} IN DATABASE ", quote(role)).replace('\'', "''''");
    format!("DO LANGUAGE plpgsql 'BEGIN EXECUTE ''{twice}''")
}

/// Where a statement names roles: quoted names behind `OWNER TO`, behind `TO` of a policy, behind
/// `FOR` of a user mapping. All of these come before any expression.
fn spans(class: ObjectClass, statement: &Statement) -> Vec<Range<usize>> {
    let anchor: &[&str] = match (class, statement.purpose) {
        (_, Purpose::Owner) => &["OWNER", "TO"],
        (ObjectClass::Policy, Purpose::Define) => &["TO"],
        (ObjectClass::UserMapping, Purpose::Define) => &["FOR"],
        _ => return Vec::new(),
    };
    let tokens = tokens(&statement.sql);
    let text = |token: &Range<usize>| &statement.sql[token.clone()];
    let Some(start) = tokens
        .windows(anchor.len())
        .position(|window| window.iter().map(text).eq(anchor.iter().copied()))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for pair in tokens[start + anchor.len()..].chunks(2) {
        if text(&pair[0]).starts_with('"') {
            found.push(pair[0].clone());
        }
        if pair.get(1).map(text) != Some(",") {
            break;
        }
    }
    found
}

/// The words, quoted names and signs of a statement, up to its first string.
fn tokens(sql: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match first {
            '\'' | '$' => break,
            '"' => quoted_length(rest),
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            other => other.len_utf8(),
        };
        if !first.is_whitespace() {
            tokens.push(at..at + length);
        }
        at += length;
    }
    tokens
}

/// Bytes of the quoted name that a text begins with.
fn quoted_length(text: &str) -> usize {
    let mut end = 1;
    while let Some(next) = text[end..].find('"') {
        end += next + 1;
        if !text[end..].starts_with('"') {
            return end;
        }
        end += 1;
    }
    text.len()
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn unquote(quoted: &str) -> String {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(quoted).replace("\"\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::Section;

    fn object(class: ObjectClass, purpose: Purpose, sql: &str) -> SchemaObject {
        SchemaObject {
            class,
            schema: None,
            name: String::from("o"),
            part_of: None,
            owner: None,
            tablespace: None,
            section: Section::PostData,
            depends_on: Vec::new(),
            statements: vec![Statement { purpose, sql: sql.to_owned() }],
            placeholder: None,
            access: None,
            descriptions: Vec::new(),
        }
    }

    fn renamed(class: ObjectClass, purpose: Purpose, sql: &str) -> (Vec<String>, String) {
        let texts = ["a=x", "\"TO \"\"b\"=y", "owner=me"].map(str::to_owned);
        let mut object = object(class, purpose, sql);
        let before = in_statements(&object).into_iter().collect();
        rename(&mut object, &Renames::new(&texts).unwrap());
        (before, object.statements.remove(0).sql)
    }

    #[test]
    fn roles_are_found_in_clauses_and_nowhere_else() {
        let policy = r#"CREATE POLICY "FOR a TO ""a""" ON "a"."a" AS PERMISSIVE FOR SELECT TO "a", "TO ""b", "c" USING (("a" = 'TO "a"'))"#;
        let (before, after) = renamed(ObjectClass::Policy, Purpose::Define, policy);
        assert_eq!(before, ["TO \"b", "a", "c"]);
        assert_eq!(
            after,
            r#"CREATE POLICY "FOR a TO ""a""" ON "a"."a" AS PERMISSIVE FOR SELECT TO "x", "y", "c" USING (("a" = 'TO "a"'))"#
        );
        let owner = r#"ALTER TABLE "OWNER TO"."a" OWNER TO "a""#;
        let (_, after) = renamed(ObjectClass::Table, Purpose::Owner, owner);
        assert_eq!(after, r#"ALTER TABLE "OWNER TO"."a" OWNER TO "x""#);
        let function = r#"ALTER FUNCTION "a"."f"("a"."a") OWNER TO "a""#;
        let (_, after) = renamed(ObjectClass::Function, Purpose::Owner, function);
        assert_eq!(after, r#"ALTER FUNCTION "a"."f"("a"."a") OWNER TO "x""#);
        let mapping = r#"CREATE USER MAPPING FOR "a" SERVER "a" OPTIONS ("user" 'a')"#;
        let (before, after) = renamed(ObjectClass::UserMapping, Purpose::Define, mapping);
        assert_eq!(before, ["a"]);
        assert_eq!(after, r#"CREATE USER MAPPING FOR "x" SERVER "a" OPTIONS ("user" 'a')"#);
        let everybody = r#"CREATE POLICY "p" ON "a"."a" AS PERMISSIVE FOR ALL TO PUBLIC"#;
        let (before, after) = renamed(ObjectClass::Policy, Purpose::Define, everybody);
        assert!(before.is_empty());
        assert_eq!(after, everybody);
    }

    #[test]
    fn the_setting_of_a_role_goes_with_it() {
        let sql = |role: &str| {
            format!(
                "DO LANGUAGE plpgsql 'BEGIN EXECUTE ''ALTER ROLE \"{role}\" IN DATABASE '' || x; END'"
            )
        };
        let mut setting = object(ObjectClass::DatabaseSetting, Purpose::Define, &sql("it''''s"));
        setting.owner = Some(String::from("it's"));
        let renames = Renames::new(&[String::from("it's=o'x")]).unwrap();
        rename(&mut setting, &renames);
        assert_eq!(setting.statements[0].sql, sql("o''''x"));
        assert_eq!(setting.owner.as_deref(), Some("o'x"));
    }

    #[test]
    fn roles_that_become_one_join_what_they_have() {
        let grant = |grantee: &str, grantor: &str, grantable| Grant {
            grantee: Some(grantee.to_owned()),
            grantor: grantor.to_owned(),
            privilege: String::from("SELECT"),
            grantable,
        };
        let mut list = AccessList {
            target: String::from("TABLE t"),
            in_schema: None,
            column: None,
            kind: 'r',
            owner: String::from("o"),
            grants: vec![
                grant("o", "o", false),
                grant("a", "o", false),
                grant("b", "o", true),
                grant("a", "b", false),
                grant("c", "b", false),
            ],
        };
        let renames = Renames::new(&["a=x", "b=x"].map(str::to_owned)).unwrap();
        rename_access(&mut list, &renames);
        assert_eq!(
            list.grants,
            [grant("o", "o", false), grant("x", "o", true), grant("c", "x", false)]
        );
    }
}
