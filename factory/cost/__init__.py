"""What a build will cost before it is paid: rows, requests, tokens, hours and money, each as a band.

The model:
- A stage's questions are drawn from the rows that are there, seeded, and put to its step with answerers that know only
  the store: what is stored counts as it was, and what is not is weighed (`gauge`).
- How a request is weighed, from the best that is known of the model: `calibration`, stored answers of it (`habits`),
  its tokenizer, or an assumption that is stated (`tokens`).
- The sample stands for all questions by their length (`sampling`), and the error of that is part of the band.
- Nothing is invented: what is not known is None, and told as unknown.
"""
