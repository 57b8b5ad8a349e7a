//! The examples of `docs/guide` are tests.

/// A page that is a module's text.
macro_rules! pages {
    ($($page:ident: $path:literal,)*) => {
        $(
            #[doc = include_str!(concat!("../../docs/guide/", $path))]
            mod $page {}
        )*
    };
}

pages! {
    getting_started: "getting-started.md",
    choosing: "choosing.md",
    servers: "servers.md",
    supervision: "supervision.md",
    tasks: "tasks.md",
    state_machines: "state-machines.md",
    clean_up: "clean-up.md",
    anti_patterns: "anti-patterns.md",
    from_erlang: "from-erlang.md",
}
