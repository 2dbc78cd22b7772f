//! What a template leaves behind that nobody has rendered.

/// The actions of a template, such as `{{ .Values.name }}`, the first of each line, and their lines
/// from 1; what stands in a comment is none.
pub(super) fn actions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with('#')).filter_map(|(index, line)| {
        let action = &line[line.find("{{")?..];
        let end = action.find("}}").map_or(action.len(), |end| end + 2);
        Some((index + 1, &action[..end]))
    })
}

/// A placeholder in a value, of whichever tool: `{{ … }}`, `${NAME}`, `$(NAME)`, `<NAME>`, `%NAME%`.
pub(super) fn placeholder(value: &str) -> Option<&str> {
    let between = |open: &str, close: &str| {
        let start = value.find(open)?;
        let end = value[start + open.len()..].find(close)?;
        Some(&value[start..start + open.len() + end + close.len()])
    };
    between("{{", "}}")
        .or_else(|| between("${", "}"))
        .or_else(|| between("$(", ")"))
        .or_else(|| between("<", ">"))
        .or_else(|| between("%", "%"))
        // envsubst's, without braces.
        .or_else(|| value.strip_prefix('$').filter(|name| !name.is_empty()).map(|_| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_found_where_they_stand() {
        let text = "# {{ a comment }}\nkind: X\nname: {{ .Values.name | quote }}-x\n";
        assert_eq!(actions(text).collect::<Vec<_>>(), [(3, "{{ .Values.name | quote }}")]);
        assert_eq!(actions("a: {{ open\n").collect::<Vec<_>>(), [(1, "{{ open")]);
        assert_eq!(actions("# {{ a }}\nb: {c: 1}\n").count(), 0);
    }

    #[test]
    fn placeholders_of_many_tools() {
        for (value, expected) in [
            ("{{ .Values.replicas }}", Some("{{ .Values.replicas }}")),
            ("x-${REPLICAS}", Some("${REPLICAS}")),
            ("$(REPLICAS)", Some("$(REPLICAS)")),
            ("$REPLICAS", Some("$REPLICAS")),
            ("<replicas>", Some("<replicas>")),
            ("%REPLICAS%", Some("%REPLICAS%")),
            ("25%", None),
            ("three", None),
            ("$", None),
        ] {
            assert_eq!(placeholder(value), expected, "{value}");
        }
    }
}
