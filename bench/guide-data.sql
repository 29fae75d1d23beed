-- The owner's guide, as written: test data.

INSERT INTO materials (title, description, category_id, file_path, file_name, original_file_name, file_size, mime_type, uploaded_by, view_count, download_count)
SELECT 'Test Material ' || i, 'Description for test material ' || i, (i % 6) + 1, '/uploads/test_' || i || '.pdf', 'test_' || i || '.pdf', 'Test_' || i || '.pdf', 1000000 + (i * 1000), 'application/pdf', 1, floor(random() * 1000), floor(random() * 100)
FROM generate_series(1, 10000) as i;
INSERT INTO download_logs (material_id, user_ip, download_at)
SELECT (floor(random() * 10000) + 1)::INTEGER, ('192.168.1.' || (floor(random() * 254) + 1)::INTEGER)::INET, NOW() - (random() * interval '90 days')
FROM generate_series(1, 50000);
