//! What of a message is not shown.

use std::sync::LazyLock;

use regex_lite::Regex;

/// vLLM shows no paths and no addresses of its own, and takes what a client sent for such, too.
pub(super) fn without_paths(message: String) -> String {
    static HIDDEN: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let regex = |pattern: &str| Regex::new(pattern).expect("patterns that are tried by a test");
        [
            (regex(r" at 0x[0-9a-fA-F]+>"), ">"),
            (regex(r#"\n?\s*File "[^"]+", line \d+, in \S+(\n\s+.*)?"#), ""),
            (regex(r"/(?:home|usr|opt|var|tmp|root|lib|mnt|srv)(?:/[\w.\-]+)+"), "<path>"),
            (regex(r"(?:/[\w\-]+)+/[\w\-]+\.\w+"), "<path>"),
        ]
    });
    if !message.contains(['/', '"']) && !message.contains(" at 0x") {
        return message;
    }
    let hide = |message: String, (regex, shown): &(Regex, &str)| regex.replace_all(&message, *shown).into_owned();
    HIDDEN.iter().fold(message, hide).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_addresses_are_not_shown() {
        let shown = |message: &str| without_paths(message.to_owned());
        assert_eq!(
            shown("see /models/a/b.txt and <f at 0x12ab> in http://x.y/z/q.html"),
            "see <path> and <f> in http://x.y<path>"
        );
        assert_eq!(shown("n must be at least 1, got 0"), "n must be at least 1, got 0");
    }
}
