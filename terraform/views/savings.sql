SELECT
  DATE_TRUNC(DATE(received_at), MONTH) AS month,
  COUNT(*) AS uploads,
  SUM(saving.bill_usd) AS usd,
  SUM(saving.deepgram_usd) AS deepgram_usd,
  SUM(saving.usd) AS saved_usd,
  SAFE_DIVIDE(SUM(saving.usd), SUM(saving.deepgram_usd)) AS saved_share
FROM `${outcomes}`
WHERE saving IS NOT NULL
GROUP BY month
