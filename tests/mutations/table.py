"""The defences of docs/threats-and-faults.md, each taken out: where it stands, what is left, which test has to go red.

An entry has a text that stands once in its file, which `make test` checks: so the table follows the code it is about.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """``text`` of ``file`` becomes ``instead``; then ``test`` fails."""

    name: str
    file: str
    text: str
    instead: str
    test: str

    @property
    def row(self) -> str:
        """The number of the threat."""
        return self.name.partition(" ")[0]


SECURITY = "backend/tests/security"
DEVICES = "backend/tests/devices"
REALTIME = "backend/tests/realtime"
TOO_EARLY = f"{SECURITY}/test_too_early.py::test_threat_01_nothing_is_dispatched"
POLICY = "agent/tests/policy/test_decide.py"
RELEASES = "agent/tests/policy/test_releases.py"
UPDATES = "tests/updates/test_trust.py"
ACCOUNTS = "backend/tests/accounts/test_service.py"
ARTIFACTS = "backend/tests/artifacts"

MUTATIONS = (
    Mutation(
        "01 agents may speak before they are registered",
        "backend/app/realtime/agents.py",
        "            if session.anonymous:",
        "            if False:",
        f"{REALTIME}/test_seed_client.py::test_threat_01_nothing_but_a_registration_is_dispatched_before_it",
    ),
    Mutation(
        "01 agents' events are taken before CONNECT",
        "backend/app/realtime/agentlink/connection.py",
        "        if type(packet) is packets.Event and self.entered:",
        "        if type(packet) is packets.Event:",
        f"{TOO_EARLY}_before_the_connection_is_asked_for",
    ),
    Mutation(
        "01 dashboards' events are taken before CONNECT",
        "backend/app/realtime/link.py",
        "        if not connected:",
        "        if False:",
        f"{TOO_EARLY}_before_the_connection_is_asked_for",
    ),
    Mutation(
        "01 a cancelled admission counts as one",
        "backend/app/realtime/link.py",
        'raise Refusal("unavailable") from None',
        "return",
        f"{TOO_EARLY}_after_the_connection_failed_over_single_requests",
    ),
    Mutation(
        "02 reserved names are events like others",
        "protocol/deployx_protocol/packets.py",
        "    if name in _RESERVED:\n        raise _reserved()\n    event",
        "    event",
        f"{REALTIME}/test_seed_client.py::test_threat_02_an_event_with_a_reserved_name_calls_no_handler",
    ),
    Mutation(
        "03 anybody's signature is an operator's",
        "agent/deployx_agent/policy/signers.py",
        "        VerifyKey(bytes.fromhex(operator.key)).verify(signed, signature)",
        "        pass",
        f"{POLICY}::test_threat_03_an_envelope_with_any_byte_changed_is_refused",
    ),
    Mutation(
        "03 what is asked for need not be what was signed",
        "agent/deployx_agent/policy/decide.py",
        "    if run.asked() != asked_of(task):",
        "    if False:",
        f"{POLICY}::test_threat_03_another_task_under_a_signature_is_refused",
    ),
    Mutation(
        "03 a release need not be signed",
        "agent/deployx_agent/policy/releases.py",
        "    if policy and policy.release_demand is Releases.SIGNED:",
        "    if False:",
        f"{RELEASES}::test_threat_03_only_what_enough_operators_have_signed_is_installed",
    ),
    Mutation(
        "03 a key that signs twice counts twice",
        "agent/deployx_agent/policy/signers.py",
        "                found[one.key] = one",
        "                found[signature.sig + one.key + str(len(found))] = one",
        f"{RELEASES}::test_threat_03_only_what_enough_operators_have_signed_is_installed",
    ),
    Mutation(
        "03 an older release is taken",
        "protocol/deployx_protocol/release_policy.py",
        "    if highest is None or manifest.number >= highest:",
        "    if True:",
        f"{RELEASES}::test_threat_03_a_number_never_goes_back_signed_or_not",
    ),
    Mutation(
        "03 whatever is signed is taken back at the server's word",
        "protocol/deployx_protocol/release_policy.py",
        "    if manifest.previous is not None and manifest.previous.sha256 == back_to:",
        "    if True:",
        f"{RELEASES}::test_threat_03_what_is_taken_back_is_what_a_signed_release_names",
    ),
    Mutation(
        "03 a release does what the policy forbids to runs",
        "protocol/deployx_protocol/policy.py",
        "        return Releases.NONE if self._shuts_out else Releases.ANY",
        "        return Releases.ANY",
        f"{RELEASES}::test_threat_03_rules_for_runs_are_not_walked_around_by_a_release",
    ),
    Mutation(
        "04 tasks go to devices that nobody accepted",
        "backend/app/tasks/repository.py",
        "        _DEVICES.trust == Trust.TRUSTED,",
        "        _DEVICES.trust != Trust.QUARANTINED,",
        f"{SECURITY}/test_forged_hints.py::test_threat_04_forged_hints_start_nothing_and_show_nothing",
    ),
    Mutation(
        "05 an agent with another journal is sent again what it may have run",
        "backend/app/devices/identity.py",
        "    if device.journal_id and message.journal_id != device.journal_id:",
        "    if False:",
        "backend/tests/tasks/test_forgetting.py::test_threat_05_a_new_journal_loses_what_was_in_flight",
    ),
    Mutation(
        "06 any page may open a socket",
        "backend/app/realtime/dashboards.py",
        "        if not self._is_own_page(environ):",
        "        if False:",
        f"{REALTIME}/test_dashboards_entry.py::test_threat_06_a_page_of_another_origin_is_refused",
    ),
    Mutation(
        "07 a session is enough to change something",
        "backend/app/accounts/auth.py",
        "        if request.method not in _SAFE_METHODS and not self.is_same_site(request):",
        "        if False:",
        "backend/tests/web/test_permissions.py::test_threat_07_no_other_site_changes_anything_with_the_session",
    ),
    Mutation(
        "08 pages run any script that stands in them",
        "backend/app/web/policy.py",
        "\"script-src 'self' 'nonce-{nonce}'\",",
        "\"script-src 'self' 'unsafe-inline'\",",
        "backend/tests/web/test_pages.py::test_threat_08_each_page_has_a_nonce_of_its_own",
    ),
    Mutation(
        "08 terminals are sent what devices print",
        "cli/deployx_cli/safe.py",
        '    return unicodedata.category(character).startswith("C")',
        "    return False",
        "cli/tests/test_safe.py::test_threat_08_no_control_character_gets_through",
    ),
    Mutation(
        "09 an enrolment token has no last use",
        "backend/app/devices/registration.py",
        "    return token if token.uses < token.max_uses else None",
        "    return token",
        f"{DEVICES}/test_enrolling.py::test_threat_09_one_use_more_than_allowed_fails",
    ),
    Mutation(
        "09 enrolment tokens never end",
        "backend/app/devices/registration.py",
        " or token.revoked_at or token.expires_at <= rows.now:",
        ":",
        f"{DEVICES}/test_enrolling.py::test_threat_09_a_token_that_is_not_good_any_more_is_refused",
    ),
    Mutation(
        "10 two live copies are one device",
        "backend/app/devices/identity.py",
        "    if contested:",
        "    if False:",
        f"{DEVICES}/test_known_keys.py::test_threat_10_two_live_copies_are_both_quarantined",
    ),
    Mutation(
        "10 copies that take turns are one device",
        "backend/app/devices/identity.py",
        "    if lineage is Lineage.FORKED:",
        "    if False:",
        f"{DEVICES}/test_known_keys.py::test_threat_10_copies_that_take_turns_are_found_out",
    ),
    Mutation(
        "11 whoever names a device's ids becomes it",
        "backend/app/devices/registration.py",
        "        if holder:",
        "        if False:",
        f"{DEVICES}/test_identity.py::test_threat_11_a_client_without_a_key_cannot_touch_a_keyed_device",
    ),
    Mutation(
        "12 everyone sees everyone's devices",
        "backend/app/devices/scope.py",
        "        return query if self.user_id is None else query.where(self.holds(right))",
        "        return query",
        f"{DEVICES}/test_routes.py::test_threat_12_what_is_somebody_elses_does_not_exist",
    ),
    Mutation(
        "12 everyone goes on with everyone's uploads",
        "backend/app/artifacts/repository.py",
        ".where(ArtifactUpload.id == upload_id, ArtifactUpload.user_id == user_id)",
        ".where(ArtifactUpload.id == upload_id)",
        f"{ARTIFACTS}/test_uploads.py::test_threat_12_uploads_of_others_do_not_exist",
    ),
    Mutation(
        "12 whoever sees a shared device runs on it",
        "backend/app/devices/scope.py",
        "        shared = (share.condition for share in self.shares if share.role.right >= right)",
        "        shared = (share.condition for share in self.shares)",
        "backend/tests/sharing/test_attacks.py::test_threat_12_a_viewer_runs_nothing_on_what_is_shared",
    ),
    Mutation(
        "13 an agent may report any task",
        "backend/app/tasks/reports.py",
        "            if task is None or task.device_id != item.device_id:",
        "            if task is None:",
        "backend/tests/tasks/test_reports.py::test_threat_13_an_agent_cannot_speak_of_another_devices_task",
    ),
    Mutation(
        "13 nobody records who spoke for another",
        "backend/app/tasks/reports.py",
        "            await self._record_foreign(unit, items, saved)",
        "            pass",
        "backend/tests/tasks/test_reports.py::test_threat_13_an_agent_cannot_speak_of_another_devices_task",
    ),
    Mutation(
        "14 passwords may be guessed without end",
        "backend/app/accounts/throttle.py",
        "        if wait := max(waits):",
        "        if wait := 0:",
        f"{ACCOUNTS}::test_threat_14_guessing_is_throttled_and_the_owner_signs_in_from_elsewhere",
    ),
    Mutation(
        "14 a code may be used again",
        "backend/app/accounts/factors.py",
        "    newer = sa.update(Factor).where(Factor.id == factor_id, Factor.last_step < step)",
        "    newer = sa.update(Factor).where(Factor.id == factor_id)",
        "backend/tests/accounts/test_two_factor.py::test_threat_14_a_code_is_taken_once",
    ),
    Mutation(
        "15 a dashboard outlives its session",
        "backend/app/realtime/dashboards.py",
        "                if viewer.proof not in alive:",
        "                if False:",
        f"{REALTIME}/test_dashboards_end.py::test_threat_15_only_the_one_who_signed_out_is_cut",
    ),
    Mutation(
        "15 an open session reaches as far as it likes",
        "backend/app/accounts/proof.py",
        "    if principal.session_id is None:\n        return\n    if principal.proven_at",
        "    if True:\n        return\n    if principal.proven_at",
        f"{SECURITY}/test_asking_again.py"
        "::test_threat_15_a_session_that_was_left_open_reaches_few_devices_and_makes_no_token",
    ),
    Mutation(
        "16 lists are sorted by any column",
        "backend/app/devices/repository.py",
        '    column = SORTS.get(sort.removeprefix("-"))',
        '    column = SORTS.get(sort.removeprefix("-"), getattr(Device, sort.removeprefix("-"), None))',
        f"{SECURITY}/test_oracles.py::test_threat_16_no_list_is_sorted_by_what_it_does_not_name",
    ),
    Mutation(
        "17 a path is looked for on the disk",
        "backend/app/web/spa.py",
        "        return self._files.get(name)",
        "        return self._files.get(name) or File(name, (self._folder / name).read_bytes())",
        f"{SECURITY}/test_paths.py::test_threat_17_no_name_is_a_file_outside_of_the_build",
    ),
    Mutation(
        "17 any name is a place of an artifact",
        "backend/app/artifacts/folder.py",
        "        if not _PLACE.fullmatch(place):",
        "        if False:",
        f"{ARTIFACTS}/test_stores.py::test_threat_17_no_name_leads_out_of_the_folder",
    ),
    Mutation(
        "17 a device's name is a path",
        "backend/app/tasks/archive.py",
        'one in "._-" else "_"',
        'one in "._-/" else "_"',
        f"{SECURITY}/test_paths.py::test_threat_17_no_device_name_leads_out_of_the_folder_that_a_zip_is_taken_apart_in",
    ),
    Mutation(
        "17 a link of an archive leads anywhere",
        "protocol/deployx_protocol/archive_rules.py",
        '        if ups > len(parts) - 1 or ".." in steps[ups:]:',
        "        if ups > len(parts) - 1:",
        "protocol/tests/test_archive_rules.py::test_threat_17_whatever_is_taken_stays_inside",
    ),
    Mutation(
        "18 any certificate will do",
        "agent/deployx_agent/connection/socketio_transport.py",
        "    return create_default_context(cafile=str(ca_file) if ca_file else None)",
        '    return __import__("ssl")._create_unverified_context()',
        "agent/tests/test_tls.py::test_threat_18_any_other_certificate_is_told_nothing",
    ),
    Mutation(
        "18 whoever a download leads to gets the device's token",
        "agent/deployx_agent/connection/downloads.py",
        "            headers = {}\n",
        "            pass\n",
        f"{ARTIFACTS}/test_fetching.py::test_threat_18_a_redirect_gets_no_credentials_and_leads_to_https_alone",
    ),
    Mutation(
        "18 plain http to anywhere",
        "agent/deployx_agent/config.py",
        '    if origin.startswith("http:") and not insecure_http and not origins.is_loopback(origin):',
        "    if False:",
        "agent/tests/test_config.py::test_threat_18_plain_http_elsewhere_needs_the_flag_at_each_start",
    ),
    Mutation(
        "19 a bundle need not be the one that was signed",
        "agent/deployx_agent/update/trust.py",
        "                target.verify_length_and_hashes(file)",
        "                pass",
        f"{UPDATES}::test_threat_19_what_the_keys_vouch_for_is_taken_and_nothing_else",
    ),
    Mutation(
        "19 the agent goes back to an older version that is signed",
        "agent/deployx_agent/update/trust.py",
        "        if number < highest:",
        "        if False:",
        f"{UPDATES}::test_threat_19_what_the_keys_vouch_for_is_taken_and_nothing_else",
    ),
    Mutation(
        "19 what a machine has seen of metadata is forgotten",
        "agent/deployx_agent/update/trust.py",
        "        if known.exists() and known.read_text() != now:",
        "        if known.exists():",
        f"{UPDATES}::test_threat_19_what_was_seen_once_is_not_taken_back",
    ),
    Mutation(
        "20 one address opens as many connections as it likes",
        "backend/app/realtime/admission.py",
        "        if self._by_address[address] >= self._most:",
        "        if False:",
        f"{REALTIME}/test_seed_client.py::test_threat_20_one_address_opens_so_many_anonymous_connections_and_no_more",
    ),
    Mutation(
        "17 an archive of strangers leads out of its folder",
        "agent/deployx_agent/releases/archive_entries.py",
        "    path = members.take(name, kind, target=target, size=size, mode=mode)",
        "    path = name",
        "agent/tests/releases/test_unpack.py::test_threat_17_what_is_refused",
    ),
    Mutation(
        "21 entries of the record do not hold the one before",
        "backend/app/audit/chain.py",
        '    del body["hash"]',
        '    del body["hash"], body["prev_hash"]',
        "backend/tests/audit/test_trail.py::test_threat_21_each_column_counts",
    ),
    Mutation(
        "21 nobody looks at what an entry says",
        "cli/deployx_cli/audit_chain.py",
        "        if hashlib.sha256(whole).hexdigest() != told:",
        "        if False:",
        "cli/tests/test_audit.py::test_threat_21_history_cannot_be_edited_unseen",
    ),
    Mutation(
        "22 the first administrator is made again",
        "backend/app/accounts/service.py",
        "        if not await self.has_users():",
        "        if True:",
        f"{ACCOUNTS}::test_threat_22_the_first_administrator_is_made_once",
    ),
)
