SELECT
  DATE(received_at) AS day,
  COUNT(*) AS uploads,
  COUNTIF(outcome = 'failed') AS failed,
  SUM(media.duration_seconds) / 3600 AS audio_hours,
  SUM(bill.usd) AS usd
FROM `${outcomes}`
GROUP BY day
