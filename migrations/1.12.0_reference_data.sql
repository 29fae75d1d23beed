-- migrate:up

insert into categories (name, description, icon, color, sort_order) values
  ('신입사원 교육', '새로 입사한 직원을 위한 회사 소개와 기본 업무 교육', 'user-plus',      '#4CAF50', 1),
  ('리더십',        '팀장과 관리자를 위한 리더십과 조직 관리',             'users',          '#2196F3', 2),
  ('컴플라이언스',  '법정 의무 교육, 윤리 경영, 개인정보 보호',             'shield-check',   '#9C27B0', 3),
  ('IT 기술',       '개발, 데이터, 보안, 업무용 소프트웨어',                'laptop',         '#00838F', 4),
  ('비즈니스 스킬', '기획, 보고, 발표, 협상, 커뮤니케이션',                 'briefcase',      '#EF6C00', 5),
  ('안전 교육',     '산업 안전, 소방, 응급 처치, 보건',                     'alert-triangle', '#D32F2F', 6)
on conflict (name) do nothing;

insert into permissions (name, description) values
  ('materials.view',       '자료 조회'),
  ('materials.download',   '자료 내려받기'),
  ('materials.upload',     '자료 등록'),
  ('materials.edit',       '자료 수정'),
  ('materials.delete',     '자료 삭제'),
  ('materials.feature',    '추천 자료 지정'),
  ('categories.manage',    '카테고리 관리'),
  ('tags.manage',          '태그 관리'),
  ('users.manage',         '사용자와 권한 관리'),
  ('reports.view',         '통계와 보고서 조회')
on conflict do nothing;

-- migrate:down
delete from permissions where name in
  ('materials.view', 'materials.download', 'materials.upload', 'materials.edit', 'materials.delete', 'materials.feature',
   'categories.manage', 'tags.manage', 'users.manage', 'reports.view');
delete from categories where name in
  ('신입사원 교육', '리더십', '컴플라이언스', 'IT 기술', '비즈니스 스킬', '안전 교육');
