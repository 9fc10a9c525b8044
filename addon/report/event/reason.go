package event

// Reasons of events.
const (
	ReasonQueued        Reason = "Queued"
	ReasonSlotAcquired  Reason = "SlotAcquired"
	ReasonStarted       Reason = "Started"
	ReasonPassed        Reason = "PassedToKueue"
	ReasonOrderTimedOut Reason = "OrderTimedOut"
	ReasonNotWaitedFor  Reason = "NotWaitedFor"
	ReasonAdopted       Reason = "Adopted"
	ReasonSuperseded    Reason = "Superseded"
	ReasonHandedBack    Reason = "HandedBack"
	ReasonLimitChanged  Reason = "LimitChanged"
	ReasonRecovered     Reason = "Recovered"
	ReasonNotNewest     Reason = "NotNewest"
	ReasonPaused        Reason = "Paused"
	ReasonResumed       Reason = "Resumed"
	// On the ConfigMap with the configuration.
	ReasonBackendChanged       Reason = "BackendChanged"
	ReasonConfigurationRefused Reason = "ConfigurationRefused"
	ReasonUnknownSetting       Reason = "UnknownSetting"
	ReasonSecondInstallation   Reason = "SecondInstallation"

	ReasonMayNotWait    Reason = "MayNotWait"
	ReasonBadRunQueue   Reason = "BadRunQueue"
	ReasonUnprepared    Reason = "Unprepared"
	ReasonNotBegun      Reason = "NotBegun"
	ReasonUnreported    Reason = "Unreported"
	ReasonPodsLeft      Reason = "PodsLeft"
	ReasonClaimExpired  Reason = "ClaimExpired"
	ReasonBadAnnotation Reason = "BadAnnotation"
	ReasonNoRepository  Reason = "RepositoryNotFound"
	ReasonNoRunQueue    Reason = "RunQueueNotFound"
	ReasonBadRepository Reason = "BadRepository"
	ReasonBadSlot       Reason = "BadSlot"
	ReasonSlotBlocked   Reason = "SlotBlocked"
	ReasonSlotRefused   Reason = "SlotRefused"
)

// Explained says what a reason means.
type Explained struct {
	Reason  Reason
	On      Kind
	Warning bool
	Means   string
}

// Reasons explains all there are: first those of the normal flow, then those that a
// person should look at. docs/observability.md has them.
func Reasons() []Explained {
	return []Explained{
		{ReasonQueued, PipelineRun, false, "Waits; the message says for what."},
		{ReasonSlotAcquired, PipelineRun, false, "Has a slot."},
		{ReasonStarted, PipelineRun, false, "Was started; the message says how long after its creation."},
		{ReasonPassed, PipelineRun, false, "Is Kueue's to start now: it has its slot, and keeps it while it waits for Kueue."},
		{ReasonOrderTimedOut, PipelineRun, false, "Pipelines-as-Code wrote no execution order in time; started in the order of creation."},
		{ReasonAdopted, PipelineRun, false, "Was running before pac-lease-queue was installed, or its Lease was deleted; has a slot now."},
		{
			ReasonSuperseded,
			PipelineRun,
			false,
			"Cancelled because cancel-in-progress is on and a newer run has the same definition and source.",
		},
		{ReasonNotNewest, PipelineRun, false, "Cancelled because its RunQueue keeps only the newest run that waits, and a newer one does."},
		{ReasonPaused, RunQueue, false, "Is paused: nothing starts until it is resumed. The message says who paused it, if that is known."},
		{ReasonResumed, RunQueue, false, "Is not paused any more."},
		{ReasonHandedBack, PipelineRun, false, "Belongs to Pipelines-as-Code again."},
		{ReasonLimitChanged, Repository, false, "Its `concurrency_limit` has changed."},
		{
			ReasonRecovered,
			Repository,
			false,
			"A replica took the queue over because a step was overdue; the message names the step.",
		},
		{ReasonBackendChanged, ConfigMap, false, "Slots are kept in another backend now. Every replica reports it."},
		{
			ReasonNotWaitedFor,
			PipelineRun,
			true,
			"Started although Pipelines-as-Code had not finished preparing it; the message says what is missing.",
		},
		{
			ReasonMayNotWait,
			PipelineRun,
			true,
			"Cancelled because more runs waited than its RunQueue lets wait, or because it had waited for too long.",
		},
		{
			ReasonBadRunQueue,
			RunQueue,
			true,
			"Something in its spec cannot be used, and the queue goes on without; or it has no queue to shape. " +
				"The message says what to do.",
		},
		{
			ReasonUnprepared,
			PipelineRun,
			true,
			"Not started, because Pipelines-as-Code has not made the git secret in its spec; the runs behind it go first.",
		},
		{
			ReasonNotBegun,
			PipelineRun,
			true,
			"Was started, but the controller in its `spec.managedBy` has not begun with it; it takes no slot until then.",
		},
		{
			ReasonUnreported,
			PipelineRun,
			true,
			"Is over, and Pipelines-as-Code has not reported that for some minutes; it takes no slot.",
		},
		{
			ReasonPodsLeft,
			Repository,
			true,
			"With `concurrency.release=podsGone`, a slot is kept for pods that should have gone long ago; the message says what to do.",
		},
		{
			ReasonClaimExpired,
			PipelineRun,
			true,
			"Could not be started; the message quotes the refusal, usually by an admission policy or webhook. It is tried again.",
		},
		{
			ReasonSlotRefused,
			PipelineRun,
			true,
			"Is next, but the API server refuses the Lease of its slot: the message quotes the quota, policy or webhook. Its " +
				"queue waits, and tries again every few seconds.",
		},
		{ReasonBadAnnotation, PipelineRun, true, "An annotation cannot be read; the message says which, and what is done instead."},
		{ReasonNoRepository, PipelineRun, true, "Waits in the queue of a Repository that does not exist: create it, or cancel the run."},
		{
			ReasonNoRunQueue, PipelineRun, true,
			"Is labelled for a queue that does not exist, or a RunQueue that says no limit: create it, or cancel the run.",
		},
		{ReasonBadRepository, Repository, true, "Its `concurrency_limit` cannot be used, or the inherited one is not seen; " +
			"the message says what is done instead."},
		{
			ReasonBadSlot,
			Repository,
			true,
			"A slot's Lease was edited by hand; it counts as taken for one `claimTTL`, then the add-on rewrites it. Nothing " +
				"needs to be done.",
		},
		{ReasonSlotBlocked, Repository, true, "Another Lease is in a slot's place: remove it."},
		{
			ReasonConfigurationRefused,
			ConfigMap,
			true,
			"A setting cannot be used. Running replicas keep their old configuration, but hear hand-back; the message says what " +
				"a replica that starts does. Every replica reports it.",
		},
		{
			ReasonUnknownSetting,
			ConfigMap,
			true,
			"This version does not have a setting, and ignores it: it is misspelt, or of another version. Every replica reports it.",
		},
		{
			ReasonSecondInstallation,
			ConfigMap,
			true,
			"Another installation works on some of the same queues: uninstall one of them, or give them different `watchNamespaces`.",
		},
	}
}
