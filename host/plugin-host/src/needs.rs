//! What plugins say they want to be sent beyond the request's own fields.

/// The needs of one plugin, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    raw_body: bool,
    tools: bool,
    prompt: bool,
    headers: Vec<HeaderPattern>,
    extras: Vec<Extra>,
}

/// A fact that a plugin is sent if it asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// When the request arrived, since the engine's start.
    ArrivalMs,
    /// How busy the engine is.
    Load,
    /// The adapter that the request is for.
    Adapter,
    /// Which of several data-parallel ranks it came to.
    Rank,
    /// Where the request belongs in a trace.
    Trace,
    /// Prompt tokens that were found in the KV cache.
    CachedTokens,
}

impl Extra {
    const ALL: [Self; 6] = [Self::ArrivalMs, Self::Load, Self::Adapter, Self::Rank, Self::Trace, Self::CachedTokens];

    /// As `extras` has it, and `needs` behind `extras:`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ArrivalMs => "arrival-ms",
            Self::Load => "load",
            Self::Adapter => "adapter",
            Self::Rank => "rank",
            Self::Trace => "trace",
            Self::CachedTokens => "cached-tokens",
        }
    }
}

/// A header's name in lower case, or how it begins (`x-tenant-*`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum HeaderPattern {
    Exactly(String),
    Beginning(String),
}

/// The header of W3C's trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Headers that begin so are for plugins, without being asked for.
const OURS: &str = "x-rehearsal-";

impl Needs {
    /// Reads the names that a plugin's description gives. Fails with the first one that the host does not know.
    pub(crate) fn parse(names: &[String]) -> Result<Self, String> {
        let mut needs = Self::default();
        for name in names {
            match name.as_str() {
                "raw-body" => needs.raw_body = true,
                "tools" => needs.tools = true,
                "prompt" => needs.prompt = true,
                _ if name.starts_with("extras:") => {
                    let extra = Extra::ALL.into_iter().find(|extra| name["extras:".len()..] == *extra.name());
                    needs.extras.push(extra.ok_or_else(|| name.clone())?);
                }
                _ => match name.strip_prefix("header:").map(str::to_ascii_lowercase) {
                    Some(header) if header.is_empty() || header == "*" => return Err(name.clone()),
                    Some(header) => needs.headers.push(match header.strip_suffix('*') {
                        Some(beginning) => HeaderPattern::Beginning(beginning.to_owned()),
                        None => HeaderPattern::Exactly(header),
                    }),
                    None => return Err(name.clone()),
                },
            }
        }
        Ok(needs)
    }

    /// Whether the body is wanted as it came.
    pub fn raw_body(&self) -> bool {
        self.raw_body
    }

    /// Whether the generator sees to offered tools itself.
    pub(crate) fn tools(&self) -> bool {
        self.tools
    }

    /// Whether a failure selector is sent the prompt; generators always are.
    pub(crate) fn prompt(&self) -> bool {
        self.prompt
    }

    /// Facts that are wanted.
    pub(crate) fn extras(&self) -> &[Extra] {
        &self.extras
    }

    /// Whether the header `name`, in lower case, is to be kept: it is wanted, or tells something that is.
    pub fn keeps_header(&self, name: &str) -> bool {
        self.wants_header(name) || name == TRACEPARENT && self.extras.contains(&Extra::Trace)
    }

    /// Whether the header `name`, in lower case, is wanted.
    pub fn wants_header(&self, name: &str) -> bool {
        name.starts_with(OURS)
            || self.headers.iter().any(|pattern| match pattern {
                HeaderPattern::Exactly(header) => header == name,
                HeaderPattern::Beginning(beginning) => name.starts_with(beginning.as_str()),
            })
    }

    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.raw_body |= other.raw_body;
        self.tools |= other.tools;
        self.prompt |= other.prompt;
        for extra in &other.extras {
            if !self.extras.contains(extra) {
                self.extras.push(*extra);
            }
        }
        for header in &other.headers {
            if !self.headers.contains(header) {
                self.headers.push(header.clone());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(names: &[&str]) -> Result<Needs, String> {
        Needs::parse(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn headers_are_wanted_by_name_by_beginning_or_because_they_are_ours() {
        let needs = needs(&["header:X-Tenant-*", "header:authorization", "prompt"]).unwrap();
        for wanted in ["x-tenant-id", "authorization", "x-rehearsal-mode"] {
            assert!(needs.wants_header(wanted), "{wanted}");
        }
        assert!(!needs.wants_header("x-tenan") && !needs.wants_header("cookie"));
        assert!(!needs.raw_body());
    }

    #[test]
    fn what_is_needed_twice_is_sent_once() {
        let wanted = needs(&["header:x-tenant-*", "prompt"]).unwrap();
        assert_eq!(wanted.clone().union(&wanted), wanted);
    }

    #[test]
    fn an_unknown_need_is_named() {
        assert_eq!(needs(&["raw-body", "gpu"]), Err("gpu".into()));
        assert_eq!(needs(&["header:*"]), Err("header:*".into()));
        assert_eq!(needs(&["extras:load", "extras:weather"]), Err("extras:weather".into()));
    }
}
