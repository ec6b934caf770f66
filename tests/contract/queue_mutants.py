"""Libraries with one thing wrong, and the check that must notice each."""

# what is wrong: the check, the text of the library, what stands there instead
MUTANTS = {
    "no fence check": (
        "only_the_current_fence_ends_a_job",
        "if job.state ~= 'running' or job.fence ~= fence then",
        "if job.state ~= 'running' then",
    ),
    "no state check": (
        "only_the_current_fence_ends_a_job",
        "if job.state ~= 'running' or job.fence ~= fence then",
        "if false then",
    ),
    "heartbeat without fence": (
        "only_the_current_fence_ends_a_job",
        "if job.state == 'running' and job.fence == args[i + 1] then",
        "if job.state == 'running' then",
    ),
    "already to another fence": (
        "only_the_current_fence_ends_a_job",
        "if job.last_fence == fence and",
        "if job.last_fence and",
    ),
    "lease not checked": ("a_heartbeat_keeps_the_lease", "p .. index, '-inf', text(now)", "p .. index, '-inf', '+inf'"),
    "lease never runs out": (
        "poison_ends_after_its_deliveries",
        "if not last or math.abs(now - last) > lease_ms / 2 then",
        "if true then",
    ),
    "lease longer than one": (
        "no_lease_is_longer_than_one",
        "local from = '(' .. text(now + lease_ms)",
        "local from = '+inf'",
    ),
    "outage not forgiven": (
        "an_outage_is_forgiven",
        "if not last or math.abs(now - last) > lease_ms / 2 then",
        "if not last then",
    ),
    # Bounds and keys.
    "bound not in the step": ("bound_holds", "if tonumber(live[1] or 0) >= max_live then", "if false then"),
    "bound off by one": ("bound_holds", ">= max_live then", ">= max_live + 1 then"),
    "live never falls": ("bound_holds", "count(p, '*', -1)", ""),
    "quota ignored": ("a_tenant_has_its_quota", ">= max_tenant_live and", ">= max_live and"),
    "quota never falls": ("a_tenant_has_its_quota", "if count(p, sum_of(job.tenant), -1) == 0 then", "if false then"),
    "key looked up last": (
        "a_key_names_one_job",
        "if digest ~= '' and known[1] then",
        "if digest ~= '' and known[1] and redis.call('HGET', p .. 'live', '*') < args[12] then",
    ),
    "key not kept": ("a_key_names_one_job", "redis.call('HSET', key, 'job', id, 'fingerprint', fingerprint)", ""),
    "key of another content": ("a_key_names_one_job", "known[2] == fingerprint and 'dup' or 'mismatch'", "'dup'"),
    "key without tenant": ("a_key_names_one_job", "'idem:' .. tenant .. ':' .. digest", "'idem:t:' .. digest"),
    "key of a refused job": (
        "what_is_refused_leaves_nothing",
        "local lack = lack_of_room(",
        "keep_key(p, tenant, digest, id, fingerprint) local lack = lack_of_room(",
    ),
    "allow-oom on enqueue": (
        "a_full_server_takes_nothing_new_and_empties_itself",
        "redis.register_function('q1_enqueue', enqueue)",
        "redis.register_function{function_name = 'q1_enqueue', callback = enqueue, flags = {'allow-oom'}}",
    ),
    "no allow-oom on cancel": (
        "a_full_server_takes_nothing_new_and_empties_itself",
        "redis.register_function{function_name = 'q1_cancel', callback = cancel, flags = {'allow-oom'}}",
        "redis.register_function('q1_cancel', cancel)",
    ),
    # Events and sums.
    "an end that nobody counts": (
        "every_end_is_counted_for_all_time",
        "redis.call('HINCRBY', p .. 'ends', kind or state, 1)",
        "",
    ),
    "late taken for failed": ("every_end_is_counted_for_all_time", "OWN_KINDS[code] and code", "nil"),
    "pauses of batches uncounted": (
        "open_batches_tell_what_is_left_and_since_when",
        "now - (batch[6] or batch[5])",
        "now - batch[5]",
    ),
    "retried ones take the class of all": (
        "each_class_is_counted_wherever_its_jobs_wait",
        "add(job[1], 1, index",
        "add('interactive', 1, index",
    ),
    "end without event": ("every_change_has_its_event", "emit(p, now, job.id, 'job.' .. state, not job.erase)", ""),
    "end without what it tells": ("an_end_tells_what_the_job_has_become", "is_end and shown or nil", "nil"),
    "every change tells it": ("an_end_tells_what_the_job_has_become", "is_end and shown or nil", "shown"),
    "end of an erased job tells it": (
        "an_end_tells_what_the_job_has_become",
        "'job.' .. state, not job.erase)",
        "'job.' .. state, true)",
    ),
    "start without event": ("every_change_has_its_event", "emit(p, now, job.id, 'job.started')", ""),
    "cancelling without event": ("no_outcome_counts_after_a_cancel", "emit(p, now, job.id, 'job.cancelling')", ""),
    "outbox trimmed by length": (
        "the_outbox_is_trimmed_by_age",
        "'MINID', '~', text(min_ms)",
        "'MAXLEN', '~', 1",
    ),
    "outbox trimmed at once": (
        "the_outbox_is_trimmed_by_age",
        "trim_outbox(p, now - EVENTS_KEPT_MS, MAX_TRIMMED)",
        "trim_outbox(p, now - EVENTS_KEPT_MS, 0)",
    ),
    "tenants' names among the sums": (
        "no_tenants_name_is_taken_for_another_sum",
        "return 'tenant:' .. tenant",
        "return tenant",
    ),
    "running cost never falls": ("sums_are_exact", "count(p, 'cost:running', -job.cost)", ""),
    "queued cost of the retried forgotten": (
        "sums_are_exact",
        "  count(p, 'cost:queued:' .. job.class, job.cost)\n  emit(",
        "  emit(",
    ),
    "forecasts unbounded": (
        "forecasts_are_compared_with_what_came",
        "redis.call('LTRIM', p .. 'forecast_ratios', -MAX_RATIOS, -1)",
        "",
    ),
    "forecast of none": ("forecasts_are_compared_with_what_came", "if job.forecast_ms > 0 then", "if true then"),
    # Lines.
    "seq reset": (
        "place_in_line_is_kept",
        "redis.call('ZADD', p .. line_of(job), job.seq, job.id)",
        "redis.call('ZADD', p .. line_of(job), redis.call('INCR', p .. 'seq'), job.id)",
    ),
    "nobody pays": (
        "a_tenant_that_wakes_is_not_paid_for_its_rest",
        "present + job.cost / weight_of(p, job.tenant)",
        "present",
    ),
    "jobs shared and not work": ("shares_are_of_work_not_of_jobs", "present + job.cost /", "present + 1 /"),
    "weights ignored": (
        "shares_follow_the_weights",
        "tonumber(redis.call('HGET', p .. 'weight', tenant) or 1)",
        "1",
    ),
    "rest is paid": (
        "a_tenant_that_wakes_is_not_paid_for_its_rest",
        "math.max(own, virtual_time(p, job.class))",
        "own",
    ),
    "rest forgives": (
        "a_tenant_that_rests_keeps_what_it_had_more",
        "math.max(own, virtual_time(p, job.class))",
        "virtual_time(p, job.class)",
    ),
    "empty line stays": (
        "a_tenant_that_wakes_is_not_paid_for_its_rest",
        "redis.call('ZREM', p .. 'tenants:' .. job.class, job.tenant)",
        "",
    ),
    "batch starves": ("batch_has_its_share", "credit < ROWS_BEFORE_BATCH and", "true and"),
    "batch's share saved up": (
        "batch_has_its_share",
        "credit = math.min(credit, ROWS_BEFORE_BATCH)",
        "",
    ),
    "batch's turn free": (
        "batch_has_its_share",
        "credit = credit - ROWS_BEFORE_BATCH * job.rows",
        "",
    ),
    "batch jobs counted and not rows": (
        "batch_rows_count_and_not_jobs",
        "credit - ROWS_BEFORE_BATCH * job.rows",
        "credit - ROWS_BEFORE_BATCH",
    ),
    "what fits overtakes": (
        "small_jobs_do_not_overtake_what_does_not_fit",
        "(job.rows <= free_rows or (running == 0 and #given == 0))",
        "true",
    ),
    "what is too large never runs": (
        "an_empty_worker_takes_a_job_of_any_size",
        "or (running == 0 and #given == 0)",
        "",
    ),
    "a busy worker takes what is too large": (
        "an_empty_worker_takes_a_job_of_any_size",
        "(running == 0 and #given == 0)",
        "#given == 0",
    ),
    "something comes along with what is too large": (
        "an_empty_worker_takes_a_job_of_any_size",
        "(running == 0 and #given == 0)",
        "running == 0",
    ),
    # Failures, suspects, stalls.
    "no back-off": (
        "retries_are_delayed_and_counted",
        "pause(p, job, now, limits.delay_ms * 2 ^ (failures - 1))",
        "pause(p, job, now, 0)",
    ),
    "set aside for no time": (
        "release_with_a_pause_takes_the_delivery_back_and_keeps_the_job_for_so_long",
        "pause(p, job, now, pause_ms)",
        "pause(p, job, now, 0)",
    ),
    "last delivery retried": (
        "the_last_delivery_is_not_retried",
        " and job.deliveries < limits.deliveries",
        "",
    ),
    "failures not counted": ("retries_are_delayed_and_counted", "job.failures + 1", "1"),
    "release counts": ("release_takes_the_delivery_back", "job.deliveries - 1", "job.deliveries"),
    "deliveries unbounded": (
        "poison_ends_after_its_deliveries",
        "if job.deliveries >= max_deliveries then",
        "if false then",
    ),
    "dead letters forgotten": (
        "dead_letters_are_kept_with_their_record",
        "redis.call('ZADD', p .. 'dead', text(now), job.id)",
        "",
    ),
    "dead letters for ever": (
        "dead_letters_are_kept_with_their_record",
        "redis.call('ZREM', p .. 'dead', job.id)",
        "",
    ),
    "suspect flag dropped": ("a_suspect_runs_alone", "  job.suspect = '1'\n", ""),
    "suspects not alone": ("a_suspect_runs_alone", "redis.call('HEXISTS', p .. 'alone', worker) == 1", "false"),
    "no hold": ("a_waiting_suspect_empties_one_worker", "<= SUSPECT_PATIENCE_MS", "<= 1e15"),
    "every worker held": (
        "a_waiting_suspect_empties_one_worker",
        "if holder[1] and holder[1] ~= worker and",
        "if false and",
    ),
    "stall not noticed": ("a_stalled_job_is_lost", "elseif now - job.moved_ms > stall_ms then", "elseif false then"),
    "each job must move": (
        "who_waits_on_a_moving_worker_is_not_stalled",
        "has_moved = has_moved or job.stage",
        "has_moved = job.stage",
    ),
    # Jobs of a newer version.
    "given again to who can't": (
        "what_a_version_can_not_do_it_is_given_once",
        "if not cause and not is_beyond(job.not_for, asking.code) then",
        "if not cause then",
    ),
    "only the last version is known": (
        "what_a_version_can_not_do_it_is_given_once",
        "(not_for and not_for .. ' ' or '') .. code",
        "code",
    ),
    "told each time": ("what_a_version_can_not_do_it_is_given_once", "if not job.not_for then", "if true then"),
    "passes any number": (
        "a_claim_passes_over_a_bounded_number_of_newer_jobs",
        "asking.passes = asking.passes - 1",
        "",
    ),
    "no word of more": (
        "a_claim_passes_over_a_bounded_number_of_newer_jobs",
        "more = asking.passes == 0",
        "more = false",
    ),
    "what is set aside stays paid for": ("what_is_set_aside_is_not_paid_for", "      refund(p, job)\n", ""),
    "paid back to who has others in line alone": (
        "a_tenants_only_job_that_is_set_aside_is_not_paid_for",
        "ipairs({'tenants', 'rested'})",
        "ipairs({'tenants'})",
    ),
    "suspects paid back": (
        "a_suspect_that_is_set_aside_had_cost_nothing",
        "job.suspect ~= '1' and redis.call('ZSCORE'",
        "redis.call('ZSCORE'",
    ),
    "newer batches are fed by who can't": (
        "a_batch_of_a_newer_version_is_fed_by_who_can_read_it",
        "local is_ours = not is_beyond(not_for, args[5] or '')",
        "local is_ours = true",
    ),
    "newer batches wait for the only feeder": (
        "a_batch_of_a_newer_version_is_fed_by_who_can_read_it",
        "not_for and 'feeder:newer' or 'feeder'",
        "'feeder'",
    ),
    "newer batches are ended by nobody": (
        "a_batch_of_a_newer_version_is_fed_by_who_can_read_it",
        "local not_for = cause == '' and batch[8]",
        "local not_for = batch[8]",
    ),
    # Cancel and deadline.
    "cancel ignored at finish": (
        "no_outcome_counts_after_a_cancel",
        "local cause, verdict = cause_of(job, now), nil",
        "local cause, verdict = nil, nil",
    ),
    "cancel ignored at release": (
        "a_cancelled_job_does_not_run_again",
        "local cause, verdict = cause_of(job, now), 'queued'",
        "local cause, verdict = nil, 'queued'",
    ),
    "cancel not told": ("no_outcome_counts_after_a_cancel", "return cause and 'cancel' or 'ok'", "return 'ok'"),
    "cancel without a nudge": (
        "a_cancel_is_told_to_the_workers",
        "redis.call('PUBLISH', p .. 'cancel', job.id)",
        "",
    ),
    "tenant not checked": ("cancel_is_the_owners", "job.tenant == tenant and ", ""),
    "worker cancels unasked": (
        "nobody_cancels_unasked",
        "if outcome == 'cancelled' and not cause then",
        "if false then",
    ),
    "lost lease forgets the cancel": (
        "a_cancelled_job_does_not_run_again",
        "  local cause = cause_of(job, now)\n  if cause then\n    end_unwanted",
        "  local cause = nil\n  if cause then\n    end_unwanted",
    ),
    "deadline index left": (
        "upkeep_ends_what_is_overdue",
        "redis.call('ZREM', p .. 'deadlines', job.id)",
        "",
    ),
    "deadline not watched": (
        "upkeep_ends_what_is_overdue",
        "redis.call('ZADD', p .. 'deadlines', text(now + deadline_ms), id)",
        "",
    ),
    "overdue jobs handed out": (
        "nothing_starts_after_its_deadline",
        "if not cause and not is_beyond(job.not_for, asking.code) then",
        "if not is_beyond(job.not_for, asking.code) then",
    ),
    "late results count": (
        "a_late_result_is_none_before_upkeep_knows",
        "return job.cancel or (now >= job.deadline_ms and 'deadline') or nil",
        "return job.cancel or nil",
    ),
    "last cause wins": (
        "the_clients_wish_stays_the_cause",
        "    if not job.cancel then\n      flag(p, job, now, 'deadline')",
        "    if true then\n      flag(p, job, now, 'deadline')",
    ),
    "overdue runners fill every round": (
        "who_runs_past_its_deadline_does_not_hide_others",
        "redis.call('ZADD', p .. 'deadlines', text(now + lease_ms), job.id)",
        "",
    ),
    "claims end any number": (
        "a_claim_ends_a_bounded_number_of_overdue_jobs",
        "if asking.passes == 0 then",
        "if false then",
    ),
    # Clocks and entries that nobody wrote.
    "pauses outlast the clock": (
        "a_pause_ends_when_the_clock_is_set_back",
        "redis.call('ZADD', p .. 'delayed', text(now), id)",
        "",
    ),
    "moves to come": (
        "a_stall_is_noticed_when_the_clock_is_set_back",
        "if has_moved or job.moved_ms > now then",
        "if has_moved then",
    ),
    "patience to come": (
        "a_suspect_is_not_forgotten_when_the_clock_is_set_back",
        "if math.abs(now - suspect.suspect_since) <= SUSPECT_PATIENCE_MS then",
        "if now - suspect.suspect_since <= SUSPECT_PATIENCE_MS then",
    ),
    "hold outlasts the clock": (
        "a_suspect_is_not_forgotten_when_the_clock_is_set_back",
        "  end\n  redis.call('DEL', p .. 'hold')",
        "  end",
    ),
    "entries of nobody due": (
        "an_entry_of_nobody_stops_no_upkeep",
        "    if job.state then\n      jobs[#jobs + 1] = job",
        "    if true then\n      jobs[#jobs + 1] = job",
    ),
    "entries of nobody stay": ("an_entry_of_nobody_stops_no_upkeep", "redis.call('ZREM', p .. other, id)", ""),
    "lines of nobody": (
        "an_entry_of_nobody_stops_no_claim",
        "  if job.state then\n    return job",
        "  if true then\n    return job",
    ),
    "suspects of nobody": ("an_entry_of_nobody_stops_no_claim", "if job and not job.state then", "if false then"),
    # What has been, and what is to be forgotten.
    "history unbounded": ("a_history_keeps_the_newest", "'MAXLEN', MAX_HISTORY, ", ""),
    "history of the present only": ("a_history_tells_each_change_as_it_was", "'MAXLEN', MAX_HISTORY,", "'MAXLEN', 1,"),
    "history from the start": ("a_history_tells_each_change_as_it_was", "'(0-' .. after, '+'", "'-', '+'"),
    "expiry a change": (
        "a_history_tells_each_change_as_it_was",
        "announce(p, now, job.id, 'job.expired')",
        "emit(p, now, job.id, 'job.expired')",
    ),
    "history stays": ("nothing_of_an_erased_job_is_left", ", p .. 'history:' .. job.id)", ")"),
    "history of anybody": (
        "the_archive_is_the_tenants_own",
        "return job.state and job.tenant == tenant and not job.erase",
        "return job.state and not job.erase",
    ),
    "erased by anybody": (
        "the_archive_is_the_tenants_own",
        "  if not job.state or job.tenant ~= args[2] then\n    return 'notfound'\n  end\n  if job.erase",
        "  if not job.state then\n    return 'notfound'\n  end\n  if job.erase",
    ),
    "never listed": ("a_list_names_each_job_once", "redis.call('ZADD', p .. 'listed:' .. tenant, job.seq, id)", ""),
    "pages overlap": ("a_list_names_each_job_once", "'+inf' or '(' .. before", "'+inf' or before"),
    "the limit is none": (
        "a_list_names_each_job_once",
        "      if #found == limit then\n        break\n      end\n",
        "",
    ),
    "a look has no bound": (
        "a_look_at_a_list_is_bounded",
        "while #found < limit and left > 0 do",
        "while #found < limit do",
    ),
    "cancelling is running": (
        "a_list_may_be_of_one_status",
        "and 'cancelling' or job.state",
        "and 'running' or job.state",
    ),
    "erased with its list entry": (
        "who_is_being_erased_is_there_for_its_worker_only",
        "  write_job(p, job, 'erase', 1)\n  redis.call('ZREM', p .. 'listed:' .. job.tenant, job.id)",
        "  write_job(p, job, 'erase', 1)",
    ),
    "seen while erased": ("who_is_being_erased_is_there_for_its_worker_only", " and not job.erase\n", "\n"),
    "erased after its retention": (
        "who_is_being_erased_is_there_for_its_worker_only",
        "job.erase and text(now) or expires",
        "expires",
    ),
    "pictures of the erased stay": (
        "nothing_of_an_erased_job_is_left",
        "    redis.call('SADD', p .. 'deletable', job.id)\n    forget(p, job)\n    return 'erased'",
        "    forget(p, job)\n    return 'erased'",
    ),
    "pictures of who was ended first stay": (
        "who_is_being_erased_is_there_for_its_worker_only",
        "    redis.call('SADD', p .. 'deletable', job.id)\n    forget(p, job)\n  elseif",
        "    forget(p, job)\n  elseif",
    ),
    "key of the erased stays": ("nothing_of_an_erased_job_is_left", "    redis.call('DEL', key)\n", ""),
    "key of another job goes": (
        "an_erased_job_takes_no_other_jobs_key",
        "if key and redis.call('HGET', key, 'job') == job.id then",
        "if key then",
    ),
    # Webhooks.
    "told twice": ("a_change_is_told_once", "redis.call('SET', p .. 'planned', entries[#entries][1])", ""),
    "told unasked": ("only_what_is_wanted_is_told", "if event == kind then", "if true then"),
    "told of the present": (
        "a_delivery_tells_the_job_as_it_was",
        "redis.call('XRANGE', p .. 'history:' .. event.job, event.change, '+', 'COUNT', 1)",
        "redis.call('XREVRANGE', p .. 'history:' .. event.job, '+', '-', 'COUNT', 1)",
    ),
    "lost with its change": (
        "a_change_that_its_history_lost_is_told_all_the_same",
        "event.change, '+', 'COUNT', 1)",
        "event.change, event.change)",
    ),
    "two of one job": (
        "a_jobs_deliveries_keep_their_order",
        "if redis.call('RPUSH', p .. 'hooks_of:' .. owner, id) == 1 then",
        "if redis.call('RPUSH', p .. 'hooks_of:' .. owner, id) > 0 then",
    ),
    "no pause between tries": ("a_jobs_deliveries_keep_their_order", "now + args[4]", "now"),
    "the next one forgotten": ("a_jobs_deliveries_keep_their_order", "    if next_id then", "    if false then"),
    "deliveries without fence": ("only_the_last_claim_settles_a_delivery", "if hook[3] ~= fence then", "if false then"),
    "deliveries without lease": (
        "only_the_last_claim_settles_a_delivery",
        "redis.call('ZADD', p .. 'hooks_sent:' .. host, text(now + lease_ms), id)",
        "redis.call('ZADD', p .. 'hooks_sent:' .. host, text(now), id)",
    ),
    "deliveries of the dead stay": ("only_the_last_claim_settles_a_delivery", "    take_back(p, host, now)\n", ""),
    "a receiver takes all": (
        "a_receiver_that_hangs_delays_nobody_else",
        "if redis.call('ZCARD', sent) < MAX_PER_HOST then",
        "if true then",
    ),
    "claims of any number": ("a_claim_gives_what_is_asked_for", "local room = limit - num_before", "local room = 9"),
    "gone and told": (
        "a_receiver_that_is_gone_is_told_nothing_more",
        "  redis.call('HDEL', p .. owner, 'hook')\n",
        "",
    ),
    "erased and told": (
        "an_erased_job_is_told_of_no_more",
        "  stop_hooks(p, 'job:' .. job.id)\n  if job.state ~= 'queued'",
        "  if job.state ~= 'queued'",
    ),
    "deliveries outlive the record": (
        "deliveries_go_with_the_record",
        "    stop_hooks(p, 'job:' .. job.id)\n    forget(p, job)",
        "    forget(p, job)",
    ),
    "outbox trimmed before it is planned": (
        "the_outbox_keeps_what_is_not_planned",
        "math.min(before_ms, tonumber(planned_ms))",
        "before_ms",
    ),
    "deliveries of nobody": ("an_entry_of_nobody_stops_no_delivery", "if #record == 0 then", "if false then"),
    "old secrets for ever": (
        "a_tenants_old_secret_is_good_for_a_day",
        "if secrets[2] and tonumber(secrets[3]) > now_ms() then",
        "if secrets[2] then",
    ),
    "a rotation is an end": (
        "a_tenants_old_secret_is_good_for_a_day",
        "redis.call('HSET', name, 'previous', old, 'until_ms', text(now_ms() + SECRET_KEPT_MS))",
        "",
    ),
    # What is over.
    "record goes with the pictures": ("pictures_go_first_and_the_record_later", "if job.expired then", "if true then"),
    "pictures go at the end": (
        "pictures_go_first_and_the_record_later",
        "local expires = text(now + job.retention_ms)",
        "local expires = text(now)",
    ),
    "GC before the end": (
        "a_job_keeps_its_record_until_it_has_ended",
        "redis.call('ZADD', p .. 'deadlines', text(now + deadline_ms), id)",
        "redis.call('ZADD', p .. 'gc', text(now + retention_ms), id)",
    ),
    # Batches.
    "item out of turn": ("each_item_becomes_one_job", "or index ~= batch[2]) and 'closed'", ") and 'closed'"),
    "item twice": ("each_item_becomes_one_job", "tonumber(index) < tonumber(batch[2])", "false"),
    "item skipped twice": (
        "each_item_becomes_one_job",
        "if redis.call('HGET', key, 'cursor') ~= args[2] then",
        "if false then",
    ),
    "end not counted": ("a_batch_ends_with_its_last_item", "    end_in_batch(p, job, now, state)", ""),
    "batch never ends": ("a_batch_ends_with_its_last_item", "  end_batch_if_done(p, job.batch, now)", ""),
    "batch ends early": ("a_batch_ends_with_its_last_item", "batch[3] + batch[4] + batch[5] <", "1 + batch[3] <"),
    "manifest never goes": (
        "a_batch_ends_with_its_last_item",
        "  redis.call('SADD', p .. 'deletable', id)\n  announce_as(",
        "  announce_as(",
    ),
    "books never go": ("a_batch_ends_with_its_last_item", "  collect_batches(p, now)", ""),
    "end of a batch unannounced": (
        "a_batch_ends_with_its_last_item",
        "announce_as(p, now, 'batch', id, 'batch.completed')",
        "",
    ),
    "cancelled batch takes items": ("a_cancelled_batch_ends_all_its_items", "(batch[1] ~= 'running' or", "(false or"),
    "cancelled batch keeps its jobs": ("a_large_batch_is_cancelled_bit_by_bit", "      cancel_job(p, job, now)\n", ""),
    "all cancelled at once": (
        "a_large_batch_is_cancelled_bit_by_bit",
        "if budget.cancels > 0 and not job.cancel",
        "if not job.cancel",
    ),
    "batch of any tenant": ("a_batch_is_its_tenants", "batch[2] == tenant and batch[1] or nil", "batch[1] or nil"),
    "list of a batch with others": ("a_batch_is_its_tenants", "(batch == '' or job.batch == batch)", "true"),
    "batch fills the queue": ("a_batch_leaves_room", "MAX_FED - own, max_live - (live[1] or 0),", "MAX_FED - own,"),
    "batch fills its tenant's part": ("a_batch_leaves_room", ", max_tenant_live - (live[2] or 0)))", "))"),
    "two feeders": ("one_feeder_at_a_time", "if holder and holder ~= feeder then", "if false then"),
    "feeder says so once": ("one_feeder_at_a_time", "redis.call('PTTL', p .. lock) < lease_ms / 2", "not holder"),
    "open batches unbounded": ("open_batches_have_a_bound", ">= max_tenant_open then", ">= max_tenant_open + 1 then"),
    "open batches never fall": (
        "open_batches_have_a_bound",
        "if redis.call('HINCRBY', p .. 'open_batches', batch[6], -1) == 0 then",
        "if false then",
    ),
    "kept books never fall": (
        "kept_books_have_a_bound",
        "redis.call('HINCRBY', p .. 'kept_items', batch[1], -batch[2])",
        "1",
    ),
    "kept books uncounted": (
        "kept_books_have_a_bound",
        "  redis.call('HINCRBY', p .. 'kept_items', tenant, total)\n",
        "",
    ),
    "each cancelled batch for itself": (
        "many_cancelled_batches_share_a_call",
        "      cancel_some(p, id, budget, now)",
        "      cancel_some(p, id, {cancels = MAX_CANCELLED}, now)",
    ),
    "batch without key": (
        "a_key_names_one_batch",
        "keep_key(p, tenant, digest, id, fingerprint)\n  redis.call('HSET', batch",
        "redis.call('HSET', batch",
    ),
    "deadline of a batch ignored": (
        "what_is_left_at_the_deadline_is_named",
        "now >= tonumber(batch[5]) and 'deadline'",
        "false and 'deadline'",
    ),
}
