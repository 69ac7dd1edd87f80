//! The difference between two access lists, as statements.

use crate::model::schema::Grant;
use crate::pg::ident;

/// The statements that turn `present` into `wanted` on one object or column.
///
/// Revokes run backwards and grants forwards, because the catalogs list a grant option before
/// what was granted through it.
pub(crate) fn delta(
    target: &str,
    column: Option<&str>,
    owner: &str,
    present: &[Grant],
    wanted: &[Grant],
) -> Vec<String> {
    let find = |grants: &[Grant], like: &Grant| {
        grants
            .iter()
            .find(|grant| {
                (&grant.grantee, &grant.grantor, &grant.privilege)
                    == (&like.grantee, &like.grantor, &like.privilege)
            })
            .map(|grant| grant.grantable)
    };
    let mut steps: Vec<Step> = Vec::new();
    for grant in present.iter().rev() {
        match find(wanted, grant) {
            None => Step::push(&mut steps, "REVOKE", "FROM", "", grant),
            Some(false) if grant.grantable => {
                Step::push(&mut steps, "REVOKE GRANT OPTION FOR", "FROM", "", grant);
            }
            Some(_) => {}
        }
    }
    let missing = |grant: &&Grant| match find(present, grant) {
        None => true,
        Some(grantable) => grant.grantable && !grantable,
    };
    // Whoever may give on the whole table may give on its columns: that is not in their lists.
    let lent = match column {
        None => lent(owner, wanted, wanted.iter().filter(missing)),
        Some(_) => Vec::new(),
    };
    for grant in &lent {
        Step::push(&mut steps, "GRANT", "TO", WITH_OPTION, grant);
    }
    for grant in wanted.iter().filter(missing) {
        let option = if grant.grantable { WITH_OPTION } else { "" };
        Step::push(&mut steps, "GRANT", "TO", option, grant);
    }
    for grant in &lent {
        // What was given on stays where the grantor still may, as a member of another role.
        let verb = match find(wanted, grant) {
            Some(_) => "REVOKE GRANT OPTION FOR",
            None => "REVOKE",
        };
        Step::push(&mut steps, verb, "FROM", " CASCADE", grant);
    }
    let mut statements = Vec::new();
    for step in &steps {
        let sql = step.sql(target, column);
        // Owners and superusers always grant in the owner's name; another grantor has to do it.
        if step.grantor == owner {
            statements.push(sql);
        } else {
            statements.push(format!("SET ROLE {}", ident::quote(step.grantor)));
            statements.push(sql);
            statements.push(String::from("RESET ROLE"));
        }
    }
    statements
}

const WITH_OPTION: &str = " WITH GRANT OPTION";

/// The grant options that grantors of `missing` do not have themselves: they were taken from them, and what
/// they had given stayed because a role that they are members of may give it. Nobody grants in the name of
/// such a member, unless the member has the option.
fn lent<'a>(owner: &str, wanted: &[Grant], missing: impl Iterator<Item = &'a Grant>) -> Vec<Grant> {
    let mut lent: Vec<Grant> = Vec::new();
    for grant in missing.filter(|grant| grant.grantor != owner) {
        let gives = |option: &Grant| {
            option.grantable
                && option.privilege == grant.privilege
                && option.grantee.as_ref() == Some(&grant.grantor)
        };
        if !wanted.iter().chain(&lent).any(gives) {
            lent.push(Grant {
                grantee: Some(grant.grantor.clone()),
                grantor: owner.to_owned(),
                privilege: grant.privilege.clone(),
                grantable: true,
            });
        }
    }
    lent
}

/// One statement: privileges that one role gives to, or takes from, another.
struct Step<'a> {
    verb: &'static str,
    preposition: &'static str,
    option: &'static str,
    grantor: &'a str,
    grantee: Option<&'a str>,
    privileges: Vec<&'a str>,
}

impl<'a> Step<'a> {
    fn push(
        steps: &mut Vec<Step<'a>>,
        verb: &'static str,
        preposition: &'static str,
        option: &'static str,
        grant: &'a Grant,
    ) {
        let (grantor, grantee) = (grant.grantor.as_str(), grant.grantee.as_deref());
        match steps.last_mut() {
            Some(last)
                if (last.verb, last.option, last.grantor, last.grantee)
                    == (verb, option, grantor, grantee) =>
            {
                last.privileges.push(&grant.privilege);
            }
            _ => steps.push(Step {
                verb,
                preposition,
                option,
                grantor,
                grantee,
                privileges: vec![&grant.privilege],
            }),
        }
    }

    fn sql(&self, target: &str, column: Option<&str>) -> String {
        let column = column.map(|name| format!(" ({})", ident::quote(name))).unwrap_or_default();
        let privileges: Vec<String> =
            self.privileges.iter().map(|privilege| format!("{privilege}{column}")).collect();
        let grantee = self.grantee.map_or_else(|| String::from("PUBLIC"), ident::quote);
        format!(
            "{} {} ON {target} {} {grantee}{}",
            self.verb,
            privileges.join(", "),
            self.preposition,
            self.option
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: &str, grantor: &str, privilege: &str, grantable: bool) -> Grant {
        Grant {
            grantee: (!grantee.is_empty()).then(|| grantee.to_owned()),
            grantor: grantor.to_owned(),
            privilege: privilege.to_owned(),
            grantable,
        }
    }

    #[test]
    fn equal_lists_need_nothing_whatever_their_order() {
        let one = [grant("o", "o", "SELECT", false), grant("", "o", "SELECT", false)];
        let other = [one[1].clone(), one[0].clone()];
        assert!(delta("TABLE t", None, "o", &one, &other).is_empty());
    }

    #[test]
    fn what_is_too_much_is_revoked_before_the_rest_is_granted() {
        let present = [grant("", "o", "EXECUTE", false), grant("o", "o", "EXECUTE", false)];
        let wanted = [grant("o", "o", "EXECUTE", false), grant("a", "o", "EXECUTE", true)];
        assert_eq!(
            delta("FUNCTION f()", None, "o", &present, &wanted),
            [
                "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
                "GRANT EXECUTE ON FUNCTION f() TO \"a\" WITH GRANT OPTION",
            ]
        );
    }

    #[test]
    fn another_grantor_grants_in_his_own_name() {
        let wanted = [grant("a", "o", "SELECT", true), grant("b", "a", "SELECT", false)];
        assert_eq!(
            delta("TABLE t", Some("c"), "o", &[], &wanted),
            [
                "GRANT SELECT (\"c\") ON TABLE t TO \"a\" WITH GRANT OPTION",
                "SET ROLE \"a\"",
                "GRANT SELECT (\"c\") ON TABLE t TO \"b\"",
                "RESET ROLE",
            ]
        );
        // One who has the option through another role alone gets it for that moment.
        let wanted = [grant("g", "o", "SELECT", true), grant("b", "a", "SELECT", false)];
        assert_eq!(
            delta("TABLE t", None, "o", &[], &wanted),
            [
                "GRANT SELECT ON TABLE t TO \"a\" WITH GRANT OPTION",
                "GRANT SELECT ON TABLE t TO \"g\" WITH GRANT OPTION",
                "SET ROLE \"a\"",
                "GRANT SELECT ON TABLE t TO \"b\"",
                "RESET ROLE",
                "REVOKE SELECT ON TABLE t FROM \"a\" CASCADE",
            ]
        );
        let wanted = [grant("a", "o", "SELECT", true), grant("b", "a", "SELECT", false)];
        let back = delta("TABLE t", None, "o", &wanted, &[]);
        assert_eq!(back.last().map(String::as_str), Some("REVOKE SELECT ON TABLE t FROM \"a\""));
    }
}
