SELECT
  DATE_TRUNC(DATE(received_at), MONTH) AS month,
  IFNULL(decision.method, 'none') AS method,
  COUNT(*) AS uploads,
  SUM(media.duration_seconds) / 3600 AS audio_hours,
  SUM(bill.usd) AS usd,
  SAFE_DIVIDE(SUM(bill.usd), SUM(media.duration_seconds) / 3600) AS usd_per_audio_hour
FROM `${outcomes}`
GROUP BY month, method
