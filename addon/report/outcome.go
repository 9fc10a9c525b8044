package report

// Outcome is how a run ended, in a word: succeeded, failed, cancelled, deleted or Tekton's
// reason in lower case.
type Outcome string

// Succeeded is the outcome of a run that did what it should.
const Succeeded Outcome = "succeeded"
