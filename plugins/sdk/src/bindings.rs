//! What the macros make of `wit/`. One world per exported interface, so that a plugin composes what it exports; the
//! shared types come from the first.

#![allow(missing_docs, clippy::all, reason = "generated code")]

/// The shared types and what the host offers.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-host; world imports {
            include rehearsal:strategy/host@0.1.1;
            import rehearsal:strategy/types@0.1.1;
        }",
        world: "rehearsal:sdk-host/imports",
        additional_derives: [PartialEq, Clone],
        generate_all,
    });
}

/// `lifecycle`, which every plugin exports.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-lifecycle; world lifecycle-only { export rehearsal:strategy/lifecycle@0.1.1; }",
        world: "rehearsal:sdk-lifecycle/lifecycle-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "rehearsal_sdk::bindings::lifecycle",
    });
}

/// `generator`.
pub mod generator {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-generator; world generator-only { export rehearsal:strategy/generator@0.1.1; }",
        world: "rehearsal:sdk-generator/generator-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        additional_derives: [PartialEq, Clone],
        pub_export_macro: true,
        export_macro_name: "export_generator",
        default_bindings_module: "rehearsal_sdk::bindings::generator",
    });
}

/// `tool-caller`.
pub mod tool_caller {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-tool-caller; world tool-caller-only { export rehearsal:strategy/tool-caller@0.1.1; }",
        world: "rehearsal:sdk-tool-caller/tool-caller-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        pub_export_macro: true,
        export_macro_name: "export_tool_caller",
        default_bindings_module: "rehearsal_sdk::bindings::tool_caller",
    });
}

/// `failure-selector`.
pub mod failure_selector {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-failure-selector;
            world failure-selector-only { export rehearsal:strategy/failure-selector@0.1.1; }",
        world: "rehearsal:sdk-failure-selector/failure-selector-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        additional_derives: [PartialEq, Clone],
        pub_export_macro: true,
        export_macro_name: "export_failure_selector",
        default_bindings_module: "rehearsal_sdk::bindings::failure_selector",
    });
}

/// `embedder`.
pub mod embedder {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-embedder; world embedder-only { export rehearsal:strategy/embedder@0.1.1; }",
        world: "rehearsal:sdk-embedder/embedder-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        additional_derives: [PartialEq, Clone],
        pub_export_macro: true,
        export_macro_name: "export_embedder",
        default_bindings_module: "rehearsal_sdk::bindings::embedder",
    });
}

/// `observer`.
pub mod observer {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rehearsal:sdk-observer; world observer-only { export rehearsal:strategy/observer@0.1.1; }",
        world: "rehearsal:sdk-observer/observer-only",
        with: { "rehearsal:strategy/types@0.1.1": crate::bindings::host::rehearsal::strategy::types },
        additional_derives: [PartialEq, Clone],
        pub_export_macro: true,
        export_macro_name: "export_observer",
        default_bindings_module: "rehearsal_sdk::bindings::observer",
    });
}
