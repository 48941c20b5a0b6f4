"""What an inventory may say about monitoring: how often to look, how long to keep, and who is told of what."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ops.config import Model
from ops.deploys.settings.names import Name

Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
Ca = Literal["site", "system"]
Seconds = Annotated[int, Field(ge=1)]


class Webhook(Model):
    """Posts Alertmanager's JSON to `url`. `secret`: what the secret of this receiver is, where it has one: a `token`
    that is sent along as a bearer, or the whole `url`, where that is what must not be known."""

    type: Literal["webhook"]
    url: Url | None = None
    secret: Literal["token", "url"] | None = None
    ca: Ca = "system"

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) != (self.secret == "url"):  # noqa: S105  the name of a choice
            raise ValueError('give either `url`, or `secret` as "url" and the address in the secrets source')
        return self


class Email(Model):
    """Mail by `smarthost` (host:port), which must offer STARTTLS. With a `username`, the receiver's secret is the
    password."""

    type: Literal["email"]
    to: Annotated[list[str], Field(min_length=1)]
    sender: str
    smarthost: Annotated[str, Field(pattern=r"^[^:\s]+:[0-9]+$")]
    username: str | None = None
    ca: Ca = "system"


class Slack(Model):
    """A channel of Slack, or of what speaks its protocol; the secret is the address of its incoming webhook."""

    type: Literal["slack"]
    channel: str
    ca: Ca = "system"


class PagerDuty(Model):
    """PagerDuty's Events API version 2, or what speaks it at `url`; the secret is the integration key."""

    type: Literal["pagerduty"]
    url: Url = "https://events.pagerduty.com/v2/enqueue"
    ca: Ca = "system"


Receiver = Annotated[Webhook | Email | Slack | PagerDuty, Field(discriminator="type")]


class Timing(Model):
    """When Alertmanager speaks. `group_wait`: how long the first alert of a group waits for its company;
    `group_interval`: for how long after that the next news of the same group waits; `repeat_pages` and
    `repeat_tickets`: after what time somebody is told again of what has not ended. All in seconds."""

    group_wait: Seconds = 10
    group_interval: Seconds = 60
    repeat_pages: Seconds = 3600
    repeat_tickets: Seconds = 86400


class Monitoring(Model):
    """Prometheus and Alertmanager on the hosts of the group `monitoring`.

    `retention_days`, `retention_gib`: measurements go at whichever limit is reached first. `receivers` by name; the
    secret of one is `receiver_<name>`. `pages` wake somebody, `tickets` wait for the morning, `heartbeat` is told once
    a minute that all of this works, and raises the alarm when it is not: a dead man's switch, outside of the site.
    `runbooks`: the address before docs/runbooks/…, for links in messages. `viewers`: who may look at the status page
    by password, the secret `login_<name>`. `unattended`: nobody is to be told of anything, on purpose.
    """

    scrape_interval: Seconds = 15
    evaluation_interval: Seconds = 15
    retention_days: Annotated[int, Field(ge=1)] = 30
    retention_gib: Annotated[int, Field(ge=1)] = 10
    receivers: dict[Name, Receiver] = {}
    pages: list[Name] = []
    tickets: list[Name] = []
    heartbeat: Name | None = None
    timing: Timing = Timing()
    runbooks: Url | None = None
    viewers: list[Name] = []
    unattended: bool = False

    @model_validator(mode="after")
    def _somebody_is_told(self) -> Self:
        for key, names in self.routes.items():
            if missing := [name for name in names if name not in self.receivers]:
                known = ", ".join(self.receivers) or "none"
                raise ValueError(f"{key} names {missing[0]!r}, and there is no such receiver; there are: {known}")
        unheard = [key for key in ("pages", "tickets") if not self.routes[key]]
        if unheard and not self.unattended:
            raise ValueError(
                f"nobody would be told of {' and '.join(unheard)}: name a receiver for them, "
                "or set unattended to True where that is what you want"
            )
        if self.unattended and any(self.routes.values()):
            raise ValueError("unattended is True, and yet there are receivers to tell: take one of the two out")
        return self

    @property
    def routes(self) -> dict[str, list[str]]:
        """The names of receivers by what they are told."""
        return {
            "pages": self.pages,
            "tickets": self.tickets,
            "heartbeat": [self.heartbeat] if self.heartbeat else [],
        }
