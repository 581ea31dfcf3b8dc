-- Which folders of the uploads bucket have the most speech without words, in the last 30 days, and what they cost.
-- Run it in the deployment's project; `dropscribe_costs` is the dataset that Terraform prints as `costs_dataset`.
SELECT
  REGEXP_EXTRACT(upload.name, r'^(?:(.*)/)?[^/]+$') AS folder,
  COUNT(*) AS uploads,
  COUNTIF(outcome = 'completed_with_gaps') AS with_gaps,
  ROUND(SUM(coverage.gap_seconds), 1) AS gap_seconds,
  ROUND(100 * SUM(coverage.gap_seconds) / NULLIF(SUM(media.duration_seconds), 0), 2) AS percent_of_audio,
  ROUND(SUM(bill.usd), 4) AS usd
FROM dropscribe_costs.outcomes_once
WHERE finished_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
GROUP BY folder
ORDER BY gap_seconds DESC
LIMIT 20
