//! Rows that promises show: what goes wrong is one of a promise's cases, so the row has no test of its own.

use super::rows::{Row, not_applicable, shown_by};

pub fn rows() -> Vec<Row> {
    [upstream_answers(), regions(), tokens(), lookups(), waits(), callbacks(), requests(), process()].concat()
}

const RETRIED: &str = "retry::what_a_second_attempt_can_help_gets_exactly_one";
const NOT_RETRIED: &str = "retry::what_a_second_attempt_cannot_help_gets_none";

fn upstream_answers() -> Vec<Row> {
    vec![
        shown_by(1, "HTTP 500 once", "one retry, 200", &[RETRIED]),
        shown_by(
            2,
            "HTTP 500 always",
            "two attempts, 502, retryable, nothing kept; the breaker opens",
            &[
                RETRIED,
                "retry::errors_are_not_kept",
                "retry::a_region_that_mostly_fails_is_left_alone_until_a_probe_finds_it_well",
            ],
        ),
        shown_by(3, "HTTP 500, 502 or 503 with an HTML page", "as 2; HTML is not echoed", &[RETRIED]),
        shown_by(
            4,
            "HTTP 429 with `Retry-After`",
            "no retry; 503 with the pause; the region is left alone for as long",
            &[
                "retry::callers_are_told_when_to_come_back_however_the_upstream_says_it",
                "retry::a_busy_region_is_left_alone_for_as_long_as_it_asks",
            ],
        ),
        shown_by(
            5,
            "200 `SERVICE_BUSY`, with and without `Retry-After`",
            "as 4; 5 s without",
            &["retry::callers_are_told_when_to_come_back_however_the_upstream_says_it"],
        ),
        shown_by(
            6,
            "`Retry-After`: -1, 99999999, a date, garbage",
            "clamped to 1–60 s, a date is read, else 5 s",
            &["retry::callers_are_told_when_to_come_back_however_the_upstream_says_it"],
        ),
        shown_by(
            7,
            "200 `ERROR`",
            "a failure like HTTP 500; 502 with the transaction id",
            &[RETRIED, "dialect::an_error_of_the_upstream_is_tried_twice_and_named"],
        ),
        shown_by(
            8,
            "200 with an unknown code",
            "502 `upstream_error`, drift; the word is shown nowhere",
            &["distrust::an_envelope_code_that_nobody_documented_is_counted_and_not_echoed"],
        ),
        shown_by(
            9,
            "200 `INSUFFICIENT_BALANCE`, `OVER_QUERY_LIMIT`, `ACCOUNT_DISABLED`",
            "502 `upstream_account`, not retryable; no retry",
            &[NOT_RETRIED],
        ),
        shown_by(
            10,
            "200 `PARAMETER_ERROR`, `CLIENT_ERROR`",
            "502 `upstream_error`, not retryable",
            &[NOT_RETRIED],
        ),
        shown_by(
            11,
            "SUCCESS with `data: null`",
            "502, not kept, drift",
            &["distrust::success_without_data_is_malformed_and_drift", NOT_RETRIED],
        ),
        shown_by(
            12,
            "SUCCESS without any result",
            "`pending`, not final",
            &["verdict::either_generations_result_counts_where_the_other_says_nothing"],
        ),
        shown_by(
            13,
            "a null result, asked for by 200 callers",
            "`pending`, `Retry-After: 2`, one call; asked again after its time",
            &[
                "coalescing::callers_of_a_pending_id_share_one_call",
                "caching::past_its_time_each_kind_of_answer_is_asked_for_again",
            ],
        ),
        shown_by(
            14,
            "`\"fail\"`, `\" PASS \"`, `\"Pass\"`",
            "folded and trimmed; drift counted",
            &["verdict::words_are_trimmed_and_their_case_is_folded"],
        ),
        shown_by(
            15,
            "unknown results such as `REVIEW`",
            "`unrecognized`, not final, kept no longer than pending, drift",
            &[
                "verdict::a_result_that_is_no_known_word_is_unrecognized",
                "caching::each_kind_of_answer_is_kept_as_long_as_its_setting_says",
            ],
        ),
        shown_by(
            16,
            "PASS beside a contradicting error code or part",
            "`unrecognized`, never passed",
            &[
                "verdict::a_pass_beside_an_error_code_is_unrecognized",
                "verdict::a_pass_beside_a_part_that_fails_is_unrecognized",
            ],
        ),
        shown_by(
            18,
            "NOT_SUPPORTED_CARD (an undocumented spelling)",
            "reason NO_SUPPORTED_CARD; the raw word is shown",
            &["dialect::lower_case_and_an_undocumented_spelling_are_understood"],
        ),
        shown_by(
            19,
            "`data.signatureId` of another id",
            "502 `upstream_id_mismatch`, not kept, drift",
            &["distrust::an_answer_for_another_id_is_dropped_whole_and_never_kept"],
        ),
        shown_by(
            21,
            "fields of wrong types",
            "null or empty, the decision stands, drift",
            &["distrust::a_field_of_a_wrong_type_is_dropped_and_counted_and_the_decision_stands"],
        ),
        shown_by(
            23,
            "a bare `PASS` token (the vendor's page as printed)",
            "502 `upstream_malformed`",
            &["distrust::what_is_no_clean_json_with_data_is_malformed_and_not_kept"],
        ),
        shown_by(24, "fewer bytes than Content-Length says", "one retry, then 502", &[RETRIED]),
        shown_by(25, "JSON cut where the connection ends", "502, not kept", &[NOT_RETRIED]),
        shown_by(
            27,
            "NUL, escape, U+2028 and direction marks in strings",
            "escaped as JSON; not in the metrics",
            &["distrust::control_and_direction_characters_stay_inside_their_texts"],
        ),
        shown_by(
            30,
            "Content-Length: 10 GB, then silence",
            "refused on the head: 502",
            &["retry::a_body_that_is_too_large_is_not_read"],
        ),
        shown_by(
            32,
            "JSON as `text/plain`, or without a content type",
            "read; drift",
            &["distrust::json_under_another_content_type_is_read_and_counted"],
        ),
        shown_by(33, "200 with an HTML page", "502 `upstream_malformed`", &[NOT_RETRIED]),
        shown_by(
            34,
            "204, 304; 1xx before the answer",
            "502; 1xx is skipped",
            &[NOT_RETRIED, "retry::interim_answers_are_skipped"],
        ),
        shown_by(
            35,
            "301, 302, 303, 307, 308 to another host",
            "not followed, 502; nobody connects there",
            &[
                "retry::a_redirect_is_not_followed",
                "retry::a_redirected_token_request_is_not_followed_either",
            ],
        ),
        shown_by(
            36,
            "401 or 403 with an empty body",
            "one refresh, one replay; then 502",
            &["token::a_refused_token_is_replaced_once_and_the_call_made_again"],
        ),
        shown_by(
            39,
            "scores such as 1e400 or \"NaN\"",
            "null; drift",
            &["distrust::a_score_that_is_none_is_dropped_and_counted"],
        ),
    ]
}

fn regions() -> Vec<Row> {
    vec![
        shown_by(
            41,
            "it accepts and never answers, with attempts of 100 ms",
            "at most two attempts, 504",
            &["retry::an_upstream_that_is_too_slow_is_given_up_in_time"],
        ),
        shown_by(
            42,
            "the body comes byte by byte",
            "the time of an attempt covers it: 504",
            &["retry::a_body_that_comes_byte_by_byte_has_the_time_of_one_attempt"],
        ),
        shown_by(
            43,
            "connections are refused",
            "one retry, then 503",
            &["retry::a_connection_that_is_refused_is_tried_twice"],
        ),
        shown_by(45, "a reset after the request", "one retry (the call only reads)", &[RETRIED]),
        shown_by(
            50,
            "a region fails in one of twelve ways, the others do not know the id",
            "503 `region_undetermined`, never 404; asked again each time",
            &["routing::not_found_is_never_said_while_a_region_could_not_be_asked"],
        ),
        shown_by(
            51,
            "no region knows the id",
            "404, kept for `cache.not_found_ttl`",
            &["routing::an_id_that_no_region_has_is_remembered_for_a_while"],
        ),
        shown_by(
            52,
            "an id exists a moment after it was not found",
            "seen after `cache.not_found_ttl`; `no-cache` sees it at once",
            &[
                "routing::an_id_that_no_region_has_is_remembered_for_a_while",
                "routing::no_cache_sees_at_once_that_an_id_exists_now",
            ],
        ),
        shown_by(
            54,
            "an id leaves its learned region",
            "the region is forgotten, all are asked",
            &["routing::an_id_that_left_its_region_is_looked_for_everywhere"],
        ),
        shown_by(
            56,
            "the upstream fails, a pending or unknown result is past its time",
            "the failure, no stale answer",
            &["stale::pending_unrecognized_and_not_found_are_never_stale"],
        ),
    ]
}

fn tokens() -> Vec<Row> {
    vec![
        shown_by(
            63,
            "100 callers at a cold start",
            "one token call",
            &["token::a_hundred_callers_at_cold_start_cost_one_token_call"],
        ),
        shown_by(
            64,
            "a token expires while it is used",
            "one refresh, one replay, 200",
            &["token::a_refused_token_is_replaced_once_and_the_call_made_again"],
        ),
        shown_by(
            65,
            "a token is refused to 100 calls, some of them late",
            "one refresh for all of them",
            &["token::a_hundred_refusals_of_one_token_cost_one_refresh_however_late_they_come"],
        ),
        shown_by(
            67,
            "the token endpoint is down and there is no token",
            "503 with `Retry-After`, pauses that double; what is known is served",
            &[
                "token::without_a_token_everybody_is_answered_at_once_while_the_endpoint_is_left_alone",
                "token::a_token_endpoint_that_is_down_disturbs_nobody_while_the_old_token_lives",
            ],
        ),
        shown_by(
            69,
            "\"Timestamp error\" with a clock 600 s ahead or behind",
            "the skew is read from `Date`, one corrected try",
            &[
                "token::a_timestamp_error_teaches_the_upstreams_clock_from_its_date",
                "token::a_timestamp_error_is_corrected_once",
            ],
        ),
        shown_by(
            72,
            "the secret changes on disk",
            "used without a restart; the old token serves on; the keys before are tried when the new ones are refused",
            &[
                "token::keys_that_change_on_disk_sign_the_next_token_and_the_old_one_serves_until_then",
                "token::the_keys_before_are_tried_when_the_new_ones_are_refused",
            ],
        ),
        shown_by(
            74,
            "`IAM_FAILED` in one region only",
            "502 for that region; others are not affected",
            &["token::a_region_that_refuses_our_tokens_leaves_the_others_alone"],
        ),
        shown_by(
            75,
            "a caller hangs up while its call refreshes the token",
            "the refresh completes for others",
            &["token::a_caller_who_hangs_up_ends_nobodys_refresh"],
        ),
    ]
}

fn lookups() -> Vec<Row> {
    vec![
        shown_by(
            77,
            "1,000 concurrent misses of one id",
            "one upstream call",
            &["coalescing::a_thousand_callers_of_a_cold_id_cost_one_call_and_one_token"],
        ),
        shown_by(
            78,
            "the caller who started a fill hangs up",
            "those who joined get 200; one call",
            &["coalescing::when_the_first_caller_hangs_up_those_who_joined_are_answered_and_more_may_join"],
        ),
        shown_by(
            79,
            "300 callers hang up one after the other",
            "one call, no panic, the result is kept",
            &["coalescing::three_hundred_callers_who_hang_up_in_a_row_cost_one_call_and_harm_nobody"],
        ),
        shown_by(
            81,
            "a caller has less time than the fill",
            "504 for it, the fill goes on, the next caller hits",
            &["coalescing::a_caller_whose_time_is_up_gets_504_and_the_fill_goes_on"],
        ),
        shown_by(
            84,
            "INCOMPLETE, then another result",
            "asked again after `cache.incomplete_ttl`",
            &["caching::past_its_time_each_kind_of_answer_is_asked_for_again"],
        ),
        shown_by(
            85,
            "a link past its end",
            "one more call for callers who see media, none for others",
            &["dead_links::a_caller_who_sees_media_has_dead_links_renewed_once_and_nobody_else_does"],
        ),
    ]
}

fn waits() -> Vec<Row> {
    vec![
        shown_by(
            99,
            "`Prefer: wait`, final after two polls",
            "answered then, `Preference-Applied`",
            &["waiting::a_waiter_is_answered_when_the_result_becomes_final"],
        ),
        shown_by(
            100,
            "`Prefer: wait=1`, never final",
            "200 pending after a second",
            &["waiting::a_waiter_gets_the_pending_answer_when_its_time_is_up"],
        ),
        shown_by(
            102,
            "200 waiters for one id",
            "five to seven calls in fifteen seconds; all are answered",
            &["waiting::two_hundred_waiters_cost_as_few_calls_as_one"],
        ),
        shown_by(
            103,
            "the limit of waiters is reached",
            "the pending answer at once, no error",
            &["waiting::beyond_the_limit_the_pending_answer_comes_at_once"],
        ),
        shown_by(
            104,
            "waiters hang up",
            "each frees its place; the poller ends with the last",
            &["waiting::a_waiter_that_hangs_up_frees_its_place_and_the_last_one_ends_the_polling"],
        ),
        shown_by(
            105,
            "a drain with waiters",
            "answered at once",
            &["waiting::a_drain_answers_waiters_at_once_and_announces_the_end"],
        ),
    ]
}

fn callbacks() -> Vec<Row> {
    vec![
        shown_by(
            106,
            "a callback with a wrong key, or without one",
            "401, no upstream call",
            &["callbacks::without_a_valid_key_nothing_happens"],
        ),
        shown_by(
            107,
            "a callback for an id that callers wait for",
            "one call; the result is the upstream's, and answers them",
            &["callbacks::a_callback_causes_one_fetch_whose_result_answers_those_who_wait"],
        ),
        shown_by(
            108,
            "a callback again and again",
            "one call at once, then one per two seconds; 200 each",
            &["callbacks::repeated_callbacks_cause_one_fetch"],
        ),
        shown_by(
            109,
            "a callback for an unknown id; bytes that are no callback",
            "200 without a call; refused",
            &["callbacks::what_nobody_asked_about_is_not_fetched_and_what_is_no_callback_is_refused"],
        ),
        shown_by(
            110,
            "a callback before the result can be read",
            "one call, the wait goes on",
            &["callbacks::a_callback_that_comes_before_the_result_leaves_the_waiting_as_it_was"],
        ),
    ]
}

fn requests() -> Vec<Row> {
    vec![
        shown_by(
            112,
            "an id of 1 MB, of 65 characters, an empty one",
            "414 or 431, 400, 400; no upstream call",
            &["requests::a_path_that_holds_no_id_costs_no_upstream_call"],
        ),
        shown_by(
            115,
            "line breaks in path, header or request id",
            "400, or part of the request alone; no header in the answer",
            &[
                "requests::a_path_that_holds_no_id_costs_no_upstream_call",
                "requests::what_is_no_http_at_all_is_refused_and_closed",
                "requests::a_usable_request_id_is_kept_and_any_other_replaced",
            ],
        ),
        shown_by(
            116,
            "Host, Content-Length or Authorization given twice",
            "400 and close",
            &[
                "requests::a_head_that_could_be_read_in_two_ways_is_refused",
                "requests::after_a_request_with_a_body_nothing_on_the_connection_is_answered",
            ],
        ),
        shown_by(
            119,
            "101 headers; one header of 1 MB",
            "400 or 431, close",
            &["requests::what_is_no_http_at_all_is_refused_and_closed"],
        ),
        shown_by(
            120,
            "a head byte by byte, on a new and on a kept connection",
            "closed after 5 s",
            &["requests::a_client_that_does_not_finish_a_head_is_dropped_and_an_idle_one_is_kept"],
        ),
        shown_by(
            121,
            "a client connects and sends nothing",
            "closed after 5 s",
            &["requests::a_client_that_does_not_finish_a_head_is_dropped_and_an_idle_one_is_kept"],
        ),
        shown_by(
            123,
            "a client sends requests and reads no answer",
            "it is soon read no more; others are served",
            &["requests::a_client_that_never_reads_is_soon_read_no_more_and_harms_nobody"],
        ),
        shown_by(
            125,
            "an HTTP/2 preface, upgrades to h2c and websocket",
            "400 and close; an upgrade is not taken up",
            &[
                "requests::what_is_no_http_at_all_is_refused_and_closed",
                "requests::an_upgrade_is_not_taken_up",
            ],
        ),
        not_applicable(
            126,
            "floods of HTTP/2 frames, GOAWAY",
            "the listeners speak HTTP/1.1 only; row 125 is what arrives instead",
        ),
        shown_by(
            127,
            "200 invented methods, paths and User-Agents",
            "the number of metric series does not change",
            &["observability::whatever_callers_and_upstream_do_the_series_stay_the_same"],
        ),
        shown_by(
            128,
            "a TLS greeting on the plain port, TRACE, CONNECT",
            "400 or 405",
            &[
                "requests::what_is_no_http_at_all_is_refused_and_closed",
                "requests::a_method_that_the_path_does_not_know_is_told_those_it_does",
                "requests::a_head_that_could_be_read_in_two_ways_is_refused",
            ],
        ),
        shown_by(
            129,
            "no key, a wrong one, a revoked one, one of another scope",
            "401, the same answer for all; 403",
            &[
                "callers::whoever_has_no_key_of_ours_gets_one_and_the_same_answer",
                "callers::a_key_that_is_revoked_in_its_file_is_worth_nothing_any_more",
                "callers::to_forget_takes_the_scope_purge",
            ],
        ),
        shown_by(
            149,
            "paths of one listener asked on the other",
            "404 both ways",
            &["requests::a_path_belongs_to_one_listener"],
        ),
    ]
}

fn process() -> Vec<Row> {
    vec![
        shown_by(
            132,
            "SIGTERM while a request is under way",
            "served during the delay, then finished; exit code 0",
            &["shutdown::asked_to_stop_it_is_not_ready_at_once_serves_on_closes_the_door_and_finishes"],
        ),
        shown_by(
            133,
            "a second SIGTERM or SIGINT; SIGHUP; SIGPIPE",
            "it stops at once; files are read again; ignored",
            &[
                "shutdown::a_second_signal_stops_at_once",
                "shutdown::a_hangup_reads_key_files_again_and_stops_nothing",
                "shutdown::a_broken_pipe_ends_nothing",
            ],
        ),
        shown_by(
            141,
            "mistakes in the configuration",
            "it refuses to start, with one clear line for each; exit code 78",
            &["cli::every_mistake_is_reported_at_once_with_file_line_key_and_what_would_be_right"],
        ),
    ]
}
