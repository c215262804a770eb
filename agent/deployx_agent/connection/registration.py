"""What the agent says about itself in ``agent_register``, signed for one connection."""

from collections.abc import Mapping
from pathlib import Path

from deployx_agent import VERSION
from deployx_agent.enrollment import Enrollment
from deployx_agent.facts import fingerprint, system
from deployx_agent.identity import UNSIGNED, Identity
from deployx_agent.policy.guard import Guard, told
from deployx_agent.tasks.store import Store
from deployx_agent.update.runtime import Update
from deployx_protocol import PROTOCOL_VERSION
from deployx_protocol.messages import TAKES_RELEASES, TAKES_UPDATES, WATCHES_ONLY, AgentRegister


class Registrar:
    """Makes registrations. Facts are read once per start: hardware does not change under a running system."""

    def __init__(
        self,
        identity: Identity,
        enrollment: Enrollment,
        store: Store,
        origin: str,
        agent_id: str | None,
        tags: Mapping[str, str],
        facts_root: Path,
        *,
        guard: Guard | None = None,
        update: Update | None = None,
        watch_only: bool,
    ) -> None:
        self.identity = identity
        self._store = store
        self._guard = guard
        self._update = None if watch_only else update
        self._policy_told = ""
        self._tags = dict(tags)
        self.enrollment = enrollment
        self.hostname = system.hostname()
        self.origin = origin
        self._configured_agent_id = agent_id
        self._platform = system.platform_name()
        self._facts = system.read(facts_root) | (WATCHES_ONLY if watch_only else TAKES_RELEASES)
        self._fingerprint = fingerprint.read(facts_root)

    @property
    def agent_id(self) -> str:
        """The configured one, or `<hostname>-<8 hex of the key's hash>`."""
        return self._configured_agent_id or self.identity.default_agent_id(self.hostname)

    def policy_changed(self) -> bool:
        """Whether the server was last told of another policy than the present one."""
        return self._policy()[0] != self._policy_told

    def _policy(self) -> tuple[str, dict[str, str]]:
        return told(self._guard.report() if self._guard else None)

    def message(self, nonce: str, ip_address: str) -> AgentRegister:
        """The signed registration for the connection that the server calls ``nonce``."""
        machine = self.identity.machine
        self._policy_told, about_policy = self._policy()
        return self.identity.sign(
            AgentRegister(
                agent_id=self.agent_id,
                hostname=self.hostname,
                platform=self._platform,
                ip_address=ip_address,
                machine_id=machine.machine_id,
                protocol=PROTOCOL_VERSION,
                agent_version=VERSION,
                public_key=self.identity.public_key,
                origin=self.origin,
                generation=machine.generation,
                boot_id=self.identity.boot_id,
                journal_id=self._store.journal_id,
                journal_high_water=self._store.high_water,
                fingerprint=self._fingerprint,
                facts=self._facts | about_policy | (TAKES_UPDATES if self._update and self._update.takes else {}),
                tags=self._tags,
                policy=self._policy_told,
                enrollment_token=self.enrollment.token(machine.generation),
                signature=UNSIGNED,
            ),
            nonce,
        )
