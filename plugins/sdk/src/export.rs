//! The macro that makes a type a component.

/// Exports a plugin and what it can do, one or more of `generator`, `tool_caller`, `failure_selector`, `observer` and `embedder`:
/// `export!(MyPlugin: generator, tool_caller);`.
///
/// Expands to nothing outside WebAssembly, so that the crate links and tests natively.
#[macro_export]
macro_rules! export {
    ($plugin:ident: $($interface:ident),+ $(,)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Exports;

            static PLUGIN: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();

            fn plugin() -> ::std::result::Result<&'static $plugin, $crate::CallError> {
                PLUGIN.get().ok_or_else(|| $crate::CallError::Internal("not initialised".into()))
            }

            impl $crate::bindings::lifecycle::exports::rehearsal::strategy::lifecycle::Guest for Exports {
                fn describe() -> $crate::Description {
                    let schema = $crate::config::schema::<<$plugin as $crate::Plugin>::Config>();
                    $crate::Description {
                        config_schema: ::std::option::Option::Some(schema),
                        ..<$plugin as $crate::Plugin>::describe()
                    }
                }

                fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    let plugin = <$plugin as $crate::Plugin>::new($crate::config::read(&config)?)?;
                    // The host calls `init` once per instance.
                    PLUGIN.set(plugin).map_err(|_| "init was called twice".into())
                }
            }

            $crate::bindings::lifecycle::export_lifecycle!(
                Exports with_types_in $crate::bindings::lifecycle
            );
            $($crate::export!(@ $interface);)+
        };
    };
    (@ generator) => {
        impl $crate::bindings::generator::exports::rehearsal::strategy::generator::Guest for Exports {
            fn generate(request: $crate::Request) -> ::std::result::Result<$crate::Completion, $crate::CallError> {
                $crate::Generator::generate(plugin()?, &request)
            }
        }

        $crate::bindings::generator::export_generator!(Exports with_types_in $crate::bindings::generator);
    };
    (@ failure_selector) => {
        impl $crate::bindings::failure_selector::exports::rehearsal::strategy::failure_selector::Guest for Exports {
            fn select(
                arrival: $crate::Arrival,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::Outcome>, $crate::CallError> {
                $crate::FailureSelector::select(plugin()?, &arrival)
            }
        }

        $crate::bindings::failure_selector::export_failure_selector!(
            Exports with_types_in $crate::bindings::failure_selector
        );
    };
    (@ observer) => {
        impl $crate::bindings::observer::exports::rehearsal::strategy::observer::Guest for Exports {
            fn finished(ending: $crate::Ending) {
                // The host initialises an instance before it tells it anything.
                if let Ok(plugin) = plugin() {
                    $crate::Observer::finished(plugin, &ending);
                }
            }
        }

        $crate::bindings::observer::export_observer!(Exports with_types_in $crate::bindings::observer);
    };
    (@ embedder) => {
        impl $crate::bindings::embedder::exports::rehearsal::strategy::embedder::Guest for Exports {
            fn embed(
                request: $crate::EmbeddingRequest,
            ) -> ::std::result::Result<::std::vec::Vec<::std::vec::Vec<f32>>, $crate::CallError> {
                $crate::Embedder::embed(plugin()?, &request)
            }
        }

        $crate::bindings::embedder::export_embedder!(Exports with_types_in $crate::bindings::embedder);
    };
    (@ tool_caller) => {
        impl $crate::bindings::tool_caller::exports::rehearsal::strategy::tool_caller::Guest for Exports {
            fn call_tools(
                request: $crate::Request,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::ToolCall>, $crate::CallError> {
                $crate::ToolCaller::call_tools(plugin()?, &request)
            }
        }

        $crate::bindings::tool_caller::export_tool_caller!(Exports with_types_in $crate::bindings::tool_caller);
    };
}
