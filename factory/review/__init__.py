"""Review: people look at a sample of a corpus, and what they find decides whether it is published.

The model:
- The recipe says what share of bad rows is acceptable and how sure one must be; that makes a *sampling plan*
  (`acceptance`). The build draws the sample by it and seals both with the corpus, before anyone has looked.
- A *deck* is the sample as people see it: tasks of turns, source and target side by side, and nothing that
  would tell what kind of task it is (of the corpus, known answer, asked again, dropped).
- A *place* shows a deck and gives back answers: Argilla, or a page in a file. All places ask the same questions.
- Answers come back in rounds, and are kept beside the corpora in the store, whatever becomes of the place.
- The report makes an estimate, a decision and figures of agreement of the plan and all rounds; the decision is a gate.
"""
