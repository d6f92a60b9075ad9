//! A plugin's configuration as a type: the host checks what a user writes against the type's JSON Schema, and what is still wrong is
//! told by its path.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What a plugin can be configured with: any type that derives [`Deserialize`] and [`JsonSchema`]. Its doc comments become the
/// schema's descriptions.
///
/// ```
/// use rehearsal_sdk::config;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields, default)]
/// struct Dice {
///     /// Of each die.
///     #[schemars(range(min = 2, max = 100))]
///     sides: u32,
/// }
///
/// impl Default for Dice {
///     fn default() -> Self {
///         Self { sides: 6 }
///     }
/// }
///
/// assert_eq!(config::read::<Dice>("{}").unwrap().sides, 6);
/// let error = config::read::<Dice>(r#"{"sides": "six"}"#).err().unwrap();
/// assert!(error.starts_with("sides: invalid type: string \"six\", expected u32"), "{error}");
/// ```
pub trait Config: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> Config for T {}

/// For a plugin that has nothing to configure: every key is refused.
///
/// ```
/// use rehearsal_sdk::config::{self, NoConfig};
///
/// assert!(config::read::<NoConfig>("{}").is_ok());
/// assert!(config::read::<NoConfig>(r#"{"sides": 6}"#).is_err());
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The configuration that `json` is, as a test of a plugin needs it. Fails with the path of what is wrong.
pub fn read<T: Config>(json: &str) -> Result<T, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        let path = error.path().to_string();
        // What is wrong at the top has no path.
        if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) }
    })
}

/// The JSON Schema of `T`, as text.
///
/// ```
/// use rehearsal_sdk::config::{self, NoConfig};
///
/// assert!(config::schema::<NoConfig>().contains(r#""additionalProperties":false"#));
/// ```
pub fn schema<T: Config>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    // It is JSON already.
    serde_json::to_string(&schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Script {
        /// In their order.
        turns: Vec<Turn>,
        chance_percent: Option<u8>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Turn {
        user: String,
    }

    #[test]
    fn what_is_wrong_is_told_by_its_path() {
        let wrong = |json: &str| read::<Script>(json).unwrap_err();
        assert!(
            wrong(r#"{"turns": [{"user": "a"}, {"user": 7}]}"#).starts_with("turns[1].user: invalid type: integer `7`")
        );
        assert!(wrong(r#"{"turns": [], "chance-percent": 300}"#).starts_with("chance-percent: invalid value"));
        assert!(wrong(r#"{"turns": [], "trns": []}"#).starts_with("trns: unknown field `trns`"));
        assert!(wrong("{}").starts_with("missing field `turns`"));
        let script = read::<Script>(r#"{"turns": [{"user": "a"}]}"#).unwrap();
        assert_eq!((script.turns[0].user.as_str(), script.chance_percent), ("a", None));
    }

    #[test]
    fn a_schema_says_what_the_type_says() {
        let schema: serde_json::Value = serde_json::from_str(&schema::<Script>()).unwrap();
        assert_eq!(schema["properties"]["turns"]["description"], "In their order.");
        assert_eq!(schema["properties"]["turns"]["items"]["required"], serde_json::json!(["user"]));
        assert_eq!(
            (&schema["required"], &schema["additionalProperties"]),
            (&serde_json::json!(["turns"]), &false.into())
        );
    }
}
