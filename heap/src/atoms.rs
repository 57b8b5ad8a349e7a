//! Atoms that exist from the start, at fixed indices.

use crate::Atom;

macro_rules! preset {
    ($($constant:ident $name:literal)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Index { $($constant,)* }

        $(
            #[doc = concat!("`'", $name, "'`")]
            pub const $constant: Atom = Atom::from_index(Index::$constant as u32);
        )*

        /// Their names, by index.
        pub(crate) const PRESET: &[&str] = &[$($name),*];
    };
}

preset! {
    OK "ok"
    ERROR "error"
    TRUE "true"
    FALSE "false"
    NIL "nil"
    UNDEFINED "undefined"
    NORMAL "normal"
    KILL "kill"
    KILLED "killed"
    SHUTDOWN "shutdown"
    NOPROC "noproc"
    TIMEOUT "timeout"
    EXIT "EXIT"
    DOWN "DOWN"
    PROCESS "process"
    PORT "port"
    TIME_OFFSET "time_offset"
    INFINITY "infinity"
    NOCONNECTION "noconnection"
    BADARG "badarg"
    BADMATCH "badmatch"
    BADARITH "badarith"
    BADKEY "badkey"
    BADMAP "badmap"
    BADARITY "badarity"
    BADFUN "badfun"
    FUNCTION_CLAUSE "function_clause"
    CASE_CLAUSE "case_clause"
    IF_CLAUSE "if_clause"
    TRY_CLAUSE "try_clause"
    UNDEF "undef"
    NOCATCH "nocatch"
    SYSTEM_LIMIT "system_limit"
    TIMEOUT_VALUE "timeout_value"
    PANIC "panic"
    GEN_CALL "$gen_call"
    GEN_CAST "$gen_cast"
    GEN_ALL_REQUEST "$gen_all_request"
    ANCESTORS "$ancestors"
    INITIAL_CALL "$initial_call"
    CALLERS "$callers"
    REPLY "reply"
    NOREPLY "noreply"
    STOP "stop"
    IGNORE "ignore"
    CONTINUE "continue"
    HIBERNATE "hibernate"
    INFO "info"
    SYSTEM "system"
    GET_STATE "get_state"
    REPLACE_STATE "replace_state"
    SUSPEND "suspend"
    RESUME "resume"
    TERMINATE "terminate"
    CODE_CHANGE "code_change"
    ETS_TRANSFER "ETS-TRANSFER"
    ALREADY_STARTED "already_started"
    ALREADY_PRESENT "already_present"
    RUNNING "running"
    RESTARTING "restarting"
    NOT_FOUND "not_found"
    PERMANENT "permanent"
    TRANSIENT "transient"
    TEMPORARY "temporary"
    WORKER "worker"
    SUPERVISOR "supervisor"
    ONE_FOR_ONE "one_for_one"
    ONE_FOR_ALL "one_for_all"
    REST_FOR_ONE "rest_for_one"
    SIMPLE_ONE_FOR_ONE "simple_one_for_one"
    FAILED_TO_START_CHILD "failed_to_start_child"
    CHILD_TERMINATED "child_terminated"
    BRUTAL_KILL "brutal_kill"
    BAD_RETURN_VALUE "bad_return_value"
    START_ERROR "start_error"
    YES "yes"
    NO "no"
    NONE "none"
    LINK "link"
    MONITOR "monitor"
    NODE "node"
    NONODE_NOHOST "nonode@nohost"
    LOW "low"
    HIGH "high"
    MAX "max"
    TASK "task"
    EMPTY ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_name_finds_its_own_constant() {
        for (index, name) in PRESET.iter().enumerate() {
            let atom = Atom::existing(name).unwrap();
            assert_eq!(
                atom.index() as usize,
                index,
                "{name} stands twice in the list"
            );
            assert_eq!(atom.as_str(), *name);
        }
        assert_eq!(GEN_CALL.as_str(), "$gen_call");
        assert_eq!(ETS_TRANSFER.as_str(), "ETS-TRANSFER");
    }
}
